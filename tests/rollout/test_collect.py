import pytest

from data.errors import ConfigError
from data.schema import Source
from recap.config import RecapConfig, WorldConfig
from recap.policies.fingerprint import policy_fingerprint
from recap.progress import silent
from recap.project import Project
from recap.settings import plain_settings
from recap.stages import collect
from recap.stages.collect import CollectConfig, DemonstrationConfig
from recap.trainsets import open_store

pytestmark = pytest.mark.render


@pytest.fixture
def config(tmp_path):
    return RecapConfig(
        project=tmp_path / "run",
        workers=1,
        world=WorldConfig(time_limit_steps=20),
        demonstrations=DemonstrationConfig(episodes=3, first_seed=500),
        collect=CollectConfig(
            episodes=5, first_seed=900, correction_fraction=0.5, worlds_per_worker=2
        ),
    )


@pytest.fixture
def project(config):
    return Project.create(config.project, plain_settings(config))


def test_people_demonstrate_in_iteration_0(config, project):
    report = collect.run(config, project, iteration=0, progress=silent)
    store = open_store(project)
    assert store.uids() == [f"demonstration-00-{seed:08d}" for seed in (500, 501, 502)]
    assert {info.source for info in store.infos()} == {Source.DEMONSTRATION}
    assert report.inputs == {}
    assert report.outputs == {f"episodes/{uid}": store.content_hash(uid) for uid in store.uids()}
    assert report.headline().startswith("3 episodes (0 corrected), ")


def test_a_lap_flies_the_policy_of_the_lap_before(config, project, tiny_policy):
    project.policy(0).parent.mkdir(parents=True)
    project.policy(0).symlink_to(tiny_policy)
    report = collect.run(config, project, iteration=1, progress=silent)
    store = open_store(project)
    fingerprint = policy_fingerprint(tiny_policy)
    assert store.uids() == [f"rollout-01-{seed:08d}" for seed in range(900, 905)]
    assert {info.policy_id for info in store.infos()} == {fingerprint}
    assert report.inputs == {"iterations/0/policy": fingerprint}
    corrected = [info for info in store.infos() if info.corrected_frames > 0]
    assert report.corrected_episodes == len(corrected)
    assert 0 < len(corrected) < 5
    for info in corrected:  # from 0.3 to 0.6 of the time limit on
        assert 6 <= info.frames - info.corrected_frames <= 12


def test_the_attempts_of_two_laps_are_not_the_same_worlds(config, project, tiny_policy):
    for lap in (0, 1):
        project.policy(lap).parent.mkdir(parents=True)
        project.policy(lap).symlink_to(tiny_policy)
    for lap in (1, 2):
        report = collect.run(config, project, iteration=lap, progress=silent)
        assert report.episodes == 5
    seeds = [info.seed for info in open_store(project).infos()]
    assert sorted(seeds) == list(range(900, 910))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 0}, "collect.episodes must be at least 1, got 0."),
        ({"worlds_per_worker": 0}, "collect.worlds_per_worker must be at least 1, got 0."),
        (
            {"correction_fraction": 1.5},
            "collect.correction_fraction must lie between 0 and 1, got 1.5.",
        ),
        (
            {"earliest_takeover": 0.7},
            "collect.earliest_takeover and latest_takeover must lie between 0 and 1, earliest "
            "first, got 0.7 and 0.6.",
        ),
    ],
)
def test_numbers_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ConfigError) as refusal:
        CollectConfig(**settings)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 0}, "demonstrations.episodes must be at least 1, got 0."),
        ({"skill": 1.5}, "demonstrations.skill must lie between 0 and 1, got 1.5."),
    ],
)
def test_demonstrators_that_do_not_exist_are_refused(settings, message):
    with pytest.raises(ConfigError) as refusal:
        DemonstrationConfig(**settings)
    assert str(refusal.value) == message

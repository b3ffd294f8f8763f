from dataclasses import replace

import numpy as np
import pytest

from data.errors import ConfigError, ProjectError
from data.files import content_hash, write_json_atomically
from data.schema import Pilot, Source
from envs.tabletop import LAYOUT
from recap.config import RecapConfig, WorldConfig
from recap.perform import perform
from recap.policies.fingerprint import policy_fingerprint
from recap.progress import silent
from recap.project import Project
from recap.rollout.execution import ExecutionConfig
from recap.settings import plain_settings
from recap.stages import collect
from recap.stages.collect import CollectConfig, DemonstrationConfig
from recap.trainsets import fix_layout, open_store, recorded_layout

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
    assert recorded_layout(project) == LAYOUT


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
        ({"stall_steps": 0}, "collect.stall_steps must be at least 1, got 0."),
        ({"correction_steps": -1}, "collect.correction_steps must be at least 0, got -1."),
        ({"stall_spread": 0.0}, "collect.stall_spread must be above 0, got 0.0."),
        (
            {"value_drop": 1.0},
            "collect.value_drop must lie between 0 and 1, got 1.0. Values lie between -1 and 0.",
        ),
        (
            {"takeover": "sometimes"},
            "collect.takeover must be one of random, value, stall, never, got sometimes.",
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


def test_the_policys_chunks_are_carried_out_as_the_settings_say(config, project, tiny_policy):
    project.policy(0).parent.mkdir(parents=True)
    project.policy(0).symlink_to(tiny_policy)
    slow = replace(config, execution=ExecutionConfig(type="real_time", latency_s=0.2))
    collect.run(slow, project, iteration=1, progress=silent)
    store = open_store(project)
    for uid in store.uids():
        actions = np.stack(store.table(uid)["action"])
        assert not actions[:4, :4].any()  # the first chunk is on its way
        assert actions[4, :4].any()


def flying(project, tiny_policy, *, laps=(0,)):
    for lap in laps:
        project.policy(lap).parent.mkdir(parents=True)
        project.policy(lap).symlink_to(tiny_policy)


def with_takeover(config, takeover, **settings):
    return replace(config, collect=replace(config.collect, takeover=takeover, **settings))


def takeovers(project):
    """Return the step at which the expert took over first, by seed; None where it never did."""
    store = open_store(project)
    steps = {}
    for info in store.infos():
        pilots = list(store.table(info.uid)["recap.pilot"])
        steps[info.seed] = pilots.index(Pilot.EXPERT) if Pilot.EXPERT in pilots else None
    return steps


def test_never_corrects_nobody(config, project, tiny_policy):
    flying(project, tiny_policy)
    report = collect.run(
        with_takeover(config, "never", correction_fraction=1.0),
        project,
        iteration=1,
        progress=silent,
    )
    assert report.corrected_episodes == 0


def test_a_correction_of_some_steps_ends_after_them(config, project, tiny_policy):
    flying(project, tiny_policy)
    short = with_takeover(config, "random", correction_fraction=1.0, correction_steps=3)
    collect.run(short, project, iteration=1, progress=silent)
    assert [info.corrected_frames for info in open_store(project).infos()] == [3] * 5


def test_the_value_model_of_the_lap_before_decides_where_the_settings_say_so(
    config, project, tiny_policy, tiny_value
):
    flying(project, tiny_policy, laps=(0, 1))
    project.value(1).symlink_to(tiny_value)
    falling = with_takeover(config, "value", correction_fraction=1.0, value_drop=1e-5)
    report = collect.run(falling, project, iteration=2, progress=silent)
    assert report.inputs == {
        "iterations/1/policy": policy_fingerprint(tiny_policy),
        "iterations/1/value": content_hash(tiny_value),
    }
    steps = takeovers(project)
    assert report.corrected_episodes == sum(step is not None for step in steps.values()) > 0
    # Asked when the policy is, at every fourth step, and not before 0.3 of the time limit.
    assert {step for step in steps.values() if step is not None} <= {8, 12, 16}


def test_the_first_lap_asks_the_value_model_that_all_laps_start_from(
    config, project, tiny_policy, tiny_value, tmp_path
):
    flying(project, tiny_policy)
    base = tmp_path / "base"
    base.mkdir()
    (base / "value").symlink_to(tiny_value)
    (base / "policy").symlink_to(tiny_policy)
    falling = with_takeover(config, "value", correction_fraction=1.0, value_drop=0.9)
    report = collect.run(replace(falling, base=base), project, iteration=1, progress=silent)
    assert report.inputs["base value"] == content_hash(tiny_value)
    assert report.corrected_episodes == 0  # no value falls so far


def test_a_stall_is_measured_in_the_projects_own_deviations(config, project, tiny_policy):
    flying(project, tiny_policy)
    stalling = with_takeover(
        config, "stall", correction_fraction=0.5, stall_steps=2, stall_spread=1.0
    )
    write_json_atomically(project.statistics, {"observation.state": {"std": [1e6] * 10}})
    report = collect.run(stalling, project, iteration=1, progress=silent)
    assert report.inputs["statistics.json"] == content_hash(project.statistics)
    drawn = collect._plans(config, iteration=1, statistics=None)
    # In such units nothing ever moves: due at the earliest step, in the attempts that are drawn.
    assert takeovers(project) == {
        plan.seed: None if plan.takeover_step is None else 6 for plan in drawn
    }


def test_a_random_takeover_is_planned_as_it_always_was(config):
    plans = collect._plans(config, iteration=1, statistics=None)
    assert [(plan.seed, plan.takeover_step) for plan in plans] == [
        (900, 7),
        (901, 8),
        (902, 11),
        (903, None),
        (904, None),
    ]
    assert {(plan.takeover, plan.correction_steps) for plan in plans} == {(None, 0)}


@pytest.mark.parametrize(
    ("takeover", "missing", "make"),
    [
        ("value", "iterations/1/value", "recap train-value --iteration=1"),
        ("stall", "statistics.json", "recap train-policy --iteration=0"),
    ],
)
def test_what_takeovers_depend_on_has_to_be_there(
    config, project, tiny_policy, takeover, missing, make
):
    flying(project, tiny_policy, laps=(0, 1))
    with pytest.raises(ProjectError) as refusal:
        collect.run(with_takeover(config, takeover), project, iteration=2, progress=silent)
    assert str(refusal.value) == (
        f"--collect.takeover={takeover} depends on {project.folder / missing}, which is not "
        f"there. Make it with `{make} --project={project.folder}`."
    )
    assert not project.episodes.exists()


def test_a_project_that_was_recorded_in_another_world_is_refused(config, project):
    fix_layout(project, replace(LAYOUT, fps=30))
    with pytest.raises(ProjectError, match="fps was 30, is 20"):
        collect.run(config, project, iteration=0, progress=silent)
    assert not project.episodes.exists()


def test_where_a_robot_makes_the_attempts_they_are_told_and_none_is_made(config, project):
    robot = replace(config, robot={"type": "so101_follower"})
    with pytest.raises(ProjectError) as refusal:
        collect.run(robot, project, iteration=0, progress=silent)
    assert str(refusal.value) == (
        f"No attempt of iteration 0 was recorded yet in {project.folder}. Record some with the "
        f"robot: `recap collect --project={project.folder} --iteration=0`"
    )
    made = collect.run(config, project, iteration=0, progress=silent)
    assert collect.run(robot, project, iteration=0, progress=silent) == made


def test_sessions_may_always_add_attempts_so_collecting_and_judging_are_never_done(config, project):
    robot = replace(config, robot={"type": "so101_follower"})

    def episodes(stage, settings):
        done = perform(stage, settings, project, iteration=0, progress=silent)
        return done.report["episodes"], done.was_complete

    assert episodes("collect", config) == (3, False)
    assert episodes("label", config) == (3, False)
    more = replace(config, demonstrations=DemonstrationConfig(episodes=4, first_seed=500))
    collect.run(more, project, iteration=0, progress=silent)
    assert episodes("collect", config) == (3, True)
    assert episodes("label", config) == (3, True)
    assert episodes("collect", robot) == (4, False)
    assert episodes("label", robot) == (4, False)
    assert episodes("label", robot) == (4, False)

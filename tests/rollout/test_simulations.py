"""Attempts in simulations of other people: recorded, measured, and the same as in our own."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict

from data.episodes import EpisodeStore
from data.errors import ConfigError
from data.files import read_json
from data.schema import Ending, Source
from envs.simulation import Simulation
from envs.tabletop import LAYOUT
from recap.config import RecapConfig, WorldConfig
from recap.progress import silent
from recap.project import Project
from recap.rollout.takeover import WhenStalled
from recap.settings import plain_settings
from recap.stages import collect, evaluate
from recap.stages.collect import CollectConfig, DemonstrationConfig
from recap.stages.evaluate import EvaluateConfig
from recap.trainsets import open_store, recorded_layout

ID = "recap_test/Drift-v0"
SIZES = {"top": (32, 48), "side": (16, 16)}
TASK = "drift to the right"


class Drift(gym.Env):
    """A dot that is pushed to and fro until it has drifted far enough to the right."""

    metadata = {"render_fps": 10, "render_modes": []}  # noqa: RUF012 - Gymnasium declares it so
    task_description = TASK
    observation_space = Dict(
        {
            "pixels": Dict({n: Box(0, 255, (*size, 3), np.uint8) for n, size in SIZES.items()}),
            "agent_pos": Box(-9.0, 9.0, (3,), np.float64),
        }
    )
    action_space = Box(-1.0, 1.0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._place = self.np_random.uniform(-1.0, 1.0, 2)
        return self._look(), {"is_success": False}

    def step(self, action):
        self._place = self._place + 0.1 * action + [0.15, 0.0]
        is_success = bool(self._place[0] > 1.5)
        return self._look(), 0.0, is_success, False, {"is_success": is_success}

    def _look(self):
        grey = round(127 + 30 * float(np.clip(self._place[0], -2, 2)))
        pixels = {name: np.full((*size, 3), grey, np.uint8) for name, size in SIZES.items()}
        return {"pixels": pixels, "agent_pos": np.array([*self._place, 1.0])}


class Silent(Drift):
    """The same, and nobody measures success."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0], {}

    def step(self, action):
        return (*super().step(action)[:4], {})


@pytest.fixture
def register():
    registered = []

    def under(kind):
        gym.register(ID, entry_point=kind, max_episode_steps=3)
        registered.append(kind)

    yield under
    if registered:
        del gym.registry[ID]


@pytest.fixture(scope="module")
def drift_policy(tmp_path_factory):
    """A checkpoint for pictures, states and actions of other sizes than the tabletop's."""
    from recap.policies.batches import TrainingFrames
    from recap.policies.config import PolicyShape, PolicyTrainingConfig
    from recap.policies.training import train_policy

    rng = np.random.default_rng(0)
    columns = {
        "observation.state": rng.normal(size=(24, 3)).astype(np.float32),
        "action": rng.uniform(-1, 1, size=(24, 2)).astype(np.float32),
    }
    folder = tmp_path_factory.mktemp("drift") / "policy"
    train_policy(
        TrainingFrames(
            images={
                name: rng.integers(0, 255, (24, *size, 3), dtype=np.uint8)
                for name, size in SIZES.items()
            },
            state=columns["observation.state"],
            action=columns["action"],
            bounds=[(0, 12), (12, 24)],
            tasks=[TASK] * 2,
            indicator=np.ones(24, dtype=np.int8),
        ),
        destination=folder,
        settings=PolicyTrainingConfig(steps=2, batch_size=8, noise_samples=1, waypoint_weight=0.0),
        start=PolicyShape(keypoints=4, hidden_size=16, layers=1, text_width=8, flow_steps=2),
        statistics={
            key: {"mean": values.mean(axis=0), "std": values.std(axis=0)}
            for key, values in columns.items()
        },
    )
    return folder


@pytest.fixture
def config(tmp_path):
    return RecapConfig(
        project=tmp_path / "run",
        workers=1,
        world=WorldConfig(id=ID, time_limit_steps=12),
        demonstrations=DemonstrationConfig(episodes=2, first_seed=500),
        collect=CollectConfig(
            episodes=5, first_seed=900, correction_fraction=0.0, worlds_per_worker=2
        ),
        evaluate=EvaluateConfig(episodes=3, first_seed=70, conditioning_episodes=0),
    )


@pytest.fixture
def project(config, drift_policy):
    made = Project.create(config.project, plain_settings(config))
    made.policy(0).parent.mkdir(parents=True)
    made.policy(0).symlink_to(drift_policy)
    return made


def test_a_policy_collects_in_a_simulation_of_somebody_else(config, project, register):
    register(Drift)
    report = collect.run(config, project, iteration=1, progress=silent)
    assert report.episodes == 5
    layout = recorded_layout(project)
    assert (layout.fps, layout.cameras, layout.robot_type) == (10, SIZES, ID)
    store = open_store(project)
    assert {info.task for info in store.infos()} == {TASK}
    assert report.measured_successes > 0
    for info in store.infos():
        store.verify(info.uid)
        assert info.source is Source.ROLLOUT
        ending = Ending.TERMINATED if info.measured_success else Ending.TIME_LIMIT
        assert info.ending is ending
        assert 3 < info.frames <= 12  # the registered limit does not count
        states = np.stack(store.table(info.uid)["observation.state"])
        actions = np.stack(store.table(info.uid)["action"])
        moved = 0.1 * actions[:-1] + np.array([0.15, 0.0])
        np.testing.assert_allclose(np.diff(states[:, :2], axis=0), moved, atol=1e-5)


def test_the_policy_is_measured_there_at_its_own_rate(config, project, register):
    register(Drift)
    evaluate.run(config, project, iteration=0, progress=silent)
    content = read_json(project.evaluation(0))
    assert content["control_rate_hz"] == 10
    assert content["time_limit_steps"] == 12
    seconds = sum(episode["steps"] for episode in content["episodes"]) / 10
    successes = sum(episode["success"] for episode in content["episodes"])
    assert successes > 0
    assert content["summary"]["successes_per_hour"][1] == pytest.approx(successes / seconds * 3600)


def test_success_that_nobody_measures_is_recorded_as_unknown_and_not_counted(
    config, project, register
):
    register(Silent)
    collect.run(config, project, iteration=1, progress=silent)
    assert {info.measured_success for info in open_store(project).infos()} == {None}
    with pytest.raises(ConfigError) as refusal:
        evaluate.run(config, project, iteration=0, progress=silent)
    assert str(refusal.value) == (
        f"{ID} does not say whether an attempt succeeded, and an evaluation counts successes. "
        f"Give it an 'is_success' in the info of every step."
    )


def test_nobody_demonstrates_or_corrects_where_there_is_no_expert(config, project, register):
    register(Drift)
    with pytest.raises(ConfigError) as refusal:
        collect.run(config, project, iteration=0, progress=silent)
    assert str(refusal.value) == (
        f"{ID} offers no expert, so nobody can demonstrate in it. Put a policy into "
        f"{project.policy(0)} and begin with --iteration=1. Or give the environment a method "
        f"make_expert(rng, skill=...)."
    )
    corrected = replace(config, collect=replace(config.collect, correction_fraction=0.3))
    with pytest.raises(ConfigError) as refusal:
        collect.run(corrected, project, iteration=1, progress=silent)
    assert str(refusal.value) == (
        f"{ID} offers no expert, so nobody can correct 30% of the attempts. Use "
        f"--collect.correction_fraction=0. Or give the environment a method "
        f"make_expert(rng, skill=...)."
    )
    assert not project.episodes.exists()
    never = replace(corrected, collect=replace(corrected.collect, takeover="never"))
    assert collect.run(never, project, iteration=1, progress=silent).corrected_episodes == 0


def test_the_settings_of_the_world_choose_the_simulation():
    world = WorldConfig(
        id=ID, discover_packages_path="some.package", task="go", hold="last", time_limit_steps=12
    )
    assert world.simulation == Simulation(
        id=ID, discover_packages_path="some.package", task="go", hold="last", time_limit_steps=12
    )
    assert WorldConfig().simulation == Simulation()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"time_limit_steps": 0}, "world.time_limit_steps must be at least 1, got 0."),
        ({"id": ID, "hold": "still"}, "world.hold must be one of zero, last, got still."),
        *(
            (
                {name: "something"},
                "world.discover_packages_path and world.task are for a Gymnasium simulation: name "
                "it with --world.id=... The tabletop draws its own tasks.",
            )
            for name in ("discover_packages_path", "task")
        ),
    ],
)
def test_worlds_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ConfigError) as refusal:
        WorldConfig(**settings)
    assert str(refusal.value) == message


@pytest.mark.render
def test_the_tabletop_through_gymnasium_gives_the_same_episodes(
    plan, roll_out, tiny_policy, tmp_path
):
    stalled = WhenStalled(window_steps=4, spread=1.0, deviations=(0.3,) * 10, earliest_step=3)
    plans = [
        plan(1),
        plan(2, takeover_step=9, time_limit_steps=100),
        plan(3, takeover=stalled, correction_steps=5),
        plan(4, takeover_step=0, skill=0.0),
    ]
    simulation = Simulation(
        id="recap/Tabletop-v0", discover_packages_path="envs.gym_env", time_limit_steps=100
    )
    results = [
        roll_out(plans, pilot=tiny_policy, episodes=tmp_path / "direct"),
        roll_out(plans, pilot=tiny_policy, episodes=tmp_path / "through", simulation=simulation),
    ]
    assert results[0] == results[1]
    assert results[0][1].success
    direct, through = (EpisodeStore(tmp_path / name, LAYOUT) for name in ("direct", "through"))
    assert direct.uids() == through.uids()
    for uid in direct.uids():
        assert direct.info(uid) == through.info(uid)
        assert direct.table(uid).to_json() == through.table(uid).to_json()
        pictures = [sorted((store.root / uid).rglob("*.mp4")) for store in (direct, through)]
        assert len(pictures[0]) == 2
        for one, other in zip(*pictures, strict=True):
            assert one.read_bytes() == other.read_bytes()

"""A policy that can do nothing yet, and the ways to let it try."""

import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.frames import decode_episode
from data.schema import ACTION_KEY, STATE_KEY
from envs.hardware import RobotWorld
from envs.tabletop import LAYOUT
from recap.progress import silent
from recap.rollout.attempt import AttemptPlan
from recap.rollout.live.alignment import Alignment
from recap.rollout.live.attempt import Rig
from recap.rollout.live.clock import ControlClock
from recap.rollout.live.safety import SafetyConfig, SafetyFilter
from recap.rollout.manager import PilotSpec, RecordingSpec, Rollouts, run_rollouts

TIME_LIMIT_STEPS = 24


def roll_out(plans, *, pilot=None, episodes=None, workers=1, worlds=4, **others):
    """Make attempts, recorded under ``episodes`` where it is given."""
    recording = episodes and RecordingSpec(episodes=episodes, iteration=1, policy_id="tiny")
    rollouts = Rollouts(
        plans=plans,
        pilot=pilot and PilotSpec(folder=pilot),
        recording=recording,
        workers=workers,
        worlds_per_worker=worlds,
        **others,
    )
    return run_rollouts(rollouts, silent("collect"))


def plan(seed, *, takeover_step=None, time_limit_steps=TIME_LIMIT_STEPS, **others):
    """Plan a short attempt."""
    return AttemptPlan(
        seed=seed, takeover_step=takeover_step, time_limit_steps=time_limit_steps, **others
    )


def demonstrations(count, **others):
    """Plan attempts that the skilled expert makes alone."""
    return [plan(seed, takeover_step=0, time_limit_steps=100, **others) for seed in range(count)]


@pytest.fixture(name="plan")
def plan_():
    return plan


@pytest.fixture(name="demonstrations")
def demonstrations_():
    return demonstrations


@pytest.fixture(name="roll_out")
def roll_out_():
    return roll_out


@pytest.fixture
def hashes():
    """The content hash of every episode under a folder."""

    def of(episodes):
        store = EpisodeStore(episodes, LAYOUT)
        return {uid: store.content_hash(uid) for uid in store.uids()}

    return of


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory):
    """Three flawless demonstrations on disk."""
    episodes = tmp_path_factory.mktemp("demonstrated") / "episodes"
    roll_out(demonstrations(3), episodes=episodes)
    return EpisodeStore(episodes, LAYOUT)


@pytest.fixture(scope="session")
def tiny_policy(demonstrated, tmp_path_factory):
    """A checkpoint of a few steps' training: the real thing in everything but skill."""
    from recap.policies.batches import TrainingFrames
    from recap.policies.config import PolicyShape, PolicyTrainingConfig
    from recap.policies.training import train_policy

    tables = [demonstrated.table(uid) for uid in demonstrated.uids()]
    stops = np.cumsum([len(table) for table in tables])
    columns = {
        key: np.concatenate([np.stack(table[key]) for table in tables]).astype(np.float32)
        for key in (STATE_KEY, ACTION_KEY)
    }
    folders = [demonstrated.root / uid for uid in demonstrated.uids()]
    frames = TrainingFrames(
        images={
            camera: np.concatenate([decode_episode(folder, camera) for folder in folders])
            for camera in LAYOUT.cameras
        },
        state=columns[STATE_KEY],
        action=columns[ACTION_KEY],
        bounds=[(stop - len(t), stop) for stop, t in zip(stops.tolist(), tables, strict=True)],
        tasks=[demonstrated.info(uid).task for uid in demonstrated.uids()],
        indicator=np.where(np.arange(stops[-1]) % 2, 1, -1).astype(np.int8),
    )
    folder = tmp_path_factory.mktemp("tiny") / "policy"
    train_policy(
        frames,
        destination=folder,
        settings=PolicyTrainingConfig(steps=6, batch_size=16, noise_samples=2),
        start=PolicyShape(keypoints=8, hidden_size=32, layers=1, text_width=8, flow_steps=3),
        statistics={
            key: {"mean": values.mean(axis=0), "std": values.std(axis=0)}
            for key, values in columns.items()
        },
    )
    return folder


@pytest.fixture(scope="session")
def tiny_value(demonstrated, tmp_path_factory):
    """A value model with weights at random: it has opinions, and they change on the way."""
    import torch

    from value_models.checkpoint import save_checkpoint
    from value_models.config import ValueModelConfig
    from value_models.model import DistributionalValueModel
    from value_models.spec import ValueSpec

    tasks = tuple(sorted({info.task for info in demonstrated.infos()}))
    states = np.concatenate(
        [np.stack(demonstrated.table(uid)[STATE_KEY]) for uid in demonstrated.uids()]
    )
    torch.manual_seed(0)
    model = DistributionalValueModel(
        ValueSpec(
            config=ValueModelConfig(channels=4, keypoints=2, text_width=4, hidden_size=16),
            tasks=tasks,
            vocabulary=tuple(sorted({word for task in tasks for word in task.split()})),
            cameras=dict(LAYOUT.cameras),
            state_mean=tuple(states.mean(axis=0).tolist()),
            state_std=tuple(states.std(axis=0).tolist()),
            normalisers=dict.fromkeys(tasks, 36.0),
        )
    )
    folder = tmp_path_factory.mktemp("tiny") / "value"
    save_checkpoint(model, folder)
    return folder


class FakeArm:
    """A LeRobot robot of two joints and a gripper that stand at once where they are told to be."""

    name = "fake_arm"

    def __init__(self):
        self.at = {"pan.pos": 0.0, "lift.pos": 0.0, "gripper.pos": 50.0}
        self.action_features = dict.fromkeys(self.at, float)
        self.observation_features = {**self.action_features, "front": (4, 6, 3)}
        self.cameras = {}
        self.is_connected = True
        self.is_blocked = False
        self.lost_looks = 0
        self.told = []
        self.holds = 0

    def connect(self, calibrate=True):
        self.is_connected = True

    def disconnect(self):
        self.is_connected = False

    def get_observation(self):
        if self.lost_looks:
            self.lost_looks -= 1
            message = "no answer"
            raise ConnectionError(message)
        return {**self.at, "front": np.zeros((4, 6, 3), np.uint8)}

    def send_action(self, action):
        self.told.append(list(action.values()))
        if not self.is_blocked:
            self.at = dict(action)

    def hold(self):
        self.holds += 1


class FakeLeader:
    """A leader that stands where the test puts it."""

    def __init__(self):
        self.at = np.float32([0, 0, 50])
        self.error = None
        self.reconnects = 0

    def action(self):
        if self.error is not None:
            raise self.error
        return self.at.copy()

    def reconnect(self):
        self.reconnects += 1
        self.error = None


class FakePolicy:
    """A live policy that says what the test lays out for it, step by step; None holds."""

    policy_id = "fake"
    trouble = ""
    missed_steps = 0

    def __init__(self):
        self.says = []
        self.error = None
        self.seeds = []
        self.forgotten = 0

    def begin(self, *, seed):
        self.seeds.append(seed)

    def forget(self):
        self.forgotten += 1

    def action(self, observation):
        if self.error is not None:
            raise self.error
        said = self.says.pop(0) if self.says else None
        return None if said is None else np.float32(said)


class FakeControls:
    """Hears, poll by poll, what the test has put in the queue, and then the rest."""

    help_text = "the keys"

    def __init__(self):
        self.queue = []
        self.rest = []

    def poll(self):
        return self.queue.pop(0) if self.queue else self.rest


class FakeClock(ControlClock):
    """A clock that waits for nothing."""

    def tick(self):
        self.ticks += 1
        return 0.0


@pytest.fixture(scope="session")
def make_rig():
    """A rig of stand-ins around the real world, safety filter and alignment; 10 steps a second."""

    def make(*, with_policy=True, with_leader=True, max_speed=50.0, motors=None, arm=None):
        world = RobotWorld(arm or FakeArm(), rate_hz=10, task="put the cube on the pad")
        names = world.layout.action_names
        world.observe()
        safety = SafetyFilter(SafetyConfig(max_speed=max_speed), names=names, control_rate_hz=10)
        safety.begin(world.position)
        return Rig(
            world=world,
            controls=FakeControls(),
            clock=FakeClock(10),
            safety=safety,
            policy=FakePolicy() if with_policy else None,
            leader=FakeLeader() if with_leader else None,
            alignment=Alignment(names=names, largest_step=5.0, tolerance=3.0, motors=motors),
            approach_step=5.0,
        )

    return make

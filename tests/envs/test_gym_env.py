import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.expert import Expert
from envs.gym_env import ENV_ID
from envs.tabletop import TASKS, TIME_LIMIT_STEPS, Tabletop

pytestmark = pytest.mark.render

IDLE = np.array([0.0, 0.0, 0.0, 0.0, 1.0], dtype=np.float32)


@pytest.fixture
def env():
    made = gym.make(ENV_ID)
    yield made
    made.close()


def test_gymnasium_finds_nothing_to_complain_about(env):
    check_env(env.unwrapped)  # a warning is an error here


def test_the_time_limit_truncates_and_does_not_terminate(env):
    env.reset(seed=0)
    for step in range(1, TIME_LIMIT_STEPS + 1):
        _, reward, terminated, truncated, info = env.step(IDLE)
        assert reward == -1.0
        assert not terminated
        assert not info["is_success"]
        assert truncated == (step == 100)


def test_a_success_terminates_and_costs_nothing(env):
    env.reset(seed=3)
    world = env.unwrapped._world
    expert = Expert(rng=np.random.default_rng(0))
    terminated, rewards = False, []
    while not terminated:
        _, reward, terminated, truncated, info = env.step(expert.action(world))
        rewards.append(reward)
        assert not truncated
        assert info["is_success"] is terminated
    assert rewards == [-1.0] * (len(rewards) - 1) + [0.0]


def test_the_seed_draws_what_it_draws_in_the_world_itself(env):
    observation, info = env.reset(seed=42)
    seen = Tabletop().reset(seed=42)
    np.testing.assert_array_equal(observation["agent_pos"], seen.state)
    for camera, picture in seen.images.items():
        np.testing.assert_array_equal(observation["pixels"][camera], picture)
    assert info["task"] == seen.task == env.unwrapped.task == env.unwrapped.task_description


def test_without_a_seed_every_attempt_is_another_one(env):
    env.reset(seed=1)
    pictures = {env.reset()[0]["pixels"]["front"].tobytes() for _ in range(6)}
    assert len(pictures) == 6


def test_observations_lie_in_their_space(env):
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert info["task"] in TASKS
    rng = np.random.default_rng(0)
    for _ in range(30):
        observation, *_ = env.step(rng.choice([-1.0, 1.0], 5).astype(np.float32))
        assert env.observation_space.contains(observation)


def test_render_gives_a_picture_for_people(env):
    env.reset(seed=0)
    assert env.render().shape == (256, 256, 3)

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from envs.tabletop import Tabletop

ROOT = Path(__file__).parents[2]

DISCOVERY = """
import json
from lerobot.configs import parser
parser.load_plugin("envs")
from lerobot.envs.configs import EnvConfig
print(json.dumps(EnvConfig.get_choice_class("recap_tabletop").__name__))
"""


@pytest.fixture(scope="module")
def vector_env():
    from lerobot.envs.factory import make_env

    from envs.lerobot_env import RecapTabletopEnv

    made = make_env(RecapTabletopEnv(), n_envs=2, use_async_envs=False)
    env = made["recap_tabletop"][0]
    yield env
    env.close()


@pytest.mark.slow
def test_stock_tools_find_the_world_by_its_package():
    done = subprocess.run(
        [sys.executable, "-c", DISCOVERY], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == "RecapTabletopEnv"


@pytest.mark.render
def test_stock_tools_make_the_world_and_read_its_task(vector_env):
    vector_env.reset(seed=[5, 6])
    assert list(vector_env.call("task_description")) == [
        Tabletop().reset(seed=seed).task for seed in (5, 6)
    ]
    assert vector_env.call("_max_episode_steps") == (100, 100)


@pytest.mark.render
def test_stock_preprocessing_gives_what_our_own_datasets_call_it(vector_env):
    from lerobot.envs.utils import preprocess_observation

    raw, _ = vector_env.reset(seed=[5, 6])
    batch = preprocess_observation(raw)
    assert set(batch) >= {
        "observation.images.front",
        "observation.images.wrist",
        "observation.state",
    }
    seen = Tabletop().reset(seed=6)
    picture = batch["observation.images.front"][1].permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(picture, seen.images["front"], atol=1e-4)
    np.testing.assert_array_equal(batch["observation.state"][1].numpy(), seen.state)


def test_the_features_are_those_of_the_world():
    from envs.lerobot_env import RecapTabletopEnv

    config = RecapTabletopEnv()
    shapes = {name: feature.shape for name, feature in config.features.items()}
    assert shapes == {
        "action": (5,),
        "agent_pos": (10,),
        "pixels/front": (64, 64, 3),
        "pixels/wrist": (64, 64, 3),
    }
    assert config.fps == 20
    assert config.gym_kwargs == {"max_episode_steps": 100}

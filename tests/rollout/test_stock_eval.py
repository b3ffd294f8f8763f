"""A checkpoint runs under stock ``lerobot-eval`` as it is, and does there what it does here.

The command::

    HF_HUB_OFFLINE=1 lerobot-eval --policy.path=<checkpoint> --env.type=recap_tabletop \
        --discover_packages_path=recap.policies.flow --env.discover_packages_path=envs \
        --eval.n_episodes=200 --eval.batch_size=8 --eval.use_async_envs=false \
        --seed=0 --output_dir=<folder>

``--policy.discover_packages_path`` would be read twice: once to import the package, and again as a
setting of the policy, which has none of that name; without a prefix it is read once.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.files import read_json
from data.schema import ACTION_KEY
from envs.tabletop import LAYOUT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.render,
    # LeRobot and what it imports warn about themselves; that is not ours to fail on.
    pytest.mark.filterwarnings("ignore"),
]

ROOT = Path(__file__).parents[2]
SEEDS = (0, 1, 2)


def test_stock_lerobot_eval_runs_a_checkpoint_as_it_is(tiny_policy, tmp_path):
    before = {path: path.read_bytes() for path in tiny_policy.iterdir()}
    command = [
        Path(sys.executable).with_name("lerobot-eval"),
        f"--policy.path={tiny_policy}",
        "--discover_packages_path=recap.policies.flow",
        "--env.type=recap_tabletop",
        "--env.discover_packages_path=envs",
        "--env.episode_length=12",
        "--eval.n_episodes=2",
        "--eval.batch_size=2",
        "--eval.use_async_envs=false",
        "--seed=0",
        f"--output_dir={tmp_path}",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    overall = read_json(tmp_path / "eval_info.json")["overall"]
    assert overall["n_episodes"] == 2
    assert overall["pc_success"] == 0.0
    assert overall["avg_sum_reward"] == -12.0
    assert {path: path.read_bytes() for path in tiny_policy.iterdir()} == before


@pytest.fixture
def stock(tiny_policy):
    """What ``lerobot-eval`` builds from the same flags, inside this process."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.envs.factory import make_env, make_env_pre_post_processors
    from lerobot.policies.factory import make_policy, make_pre_post_processors

    from envs.lerobot_env import RecapTabletopEnv

    world = RecapTabletopEnv()
    config = PreTrainedConfig.from_pretrained(tiny_policy)
    config.pretrained_path = tiny_policy
    policy = make_policy(cfg=config, env_cfg=world).eval()
    env = make_env(world, n_envs=len(SEEDS), use_async_envs=False)["recap_tabletop"][0]
    outer = make_env_pre_post_processors(env_cfg=world, policy_cfg=config)
    inner = make_pre_post_processors(policy_cfg=config, pretrained_path=str(tiny_policy))
    yield env, policy, outer, inner
    env.close()


def share_noise(policy, seeds, monkeypatch):
    """Make the stock tool draw, for every attempt, the noise that our pilot draws."""
    import torch

    from recap.rollout.prediction import noise_generator

    sources = [noise_generator(seed) for seed in seeds]
    predict = policy.predict_action_chunk
    shape = (policy.config.chunk_size, len(LAYOUT.action_names))

    def predict_with_shared_noise(batch):
        noise = torch.stack([torch.randn(shape, generator=source) for source in sources])
        return predict(batch, noise=noise)

    monkeypatch.setattr(policy, "predict_action_chunk", predict_with_shared_noise)


def test_whole_episodes_are_the_same_under_the_stock_loop_and_ours(
    stock, tiny_policy, roll_out, plan, tmp_path, monkeypatch
):
    from lerobot.scripts.lerobot_eval import rollout

    env, policy, outer, inner = stock
    share_noise(policy, SEEDS, monkeypatch)
    theirs = rollout(env, policy, *outer, *inner, seeds=list(SEEDS))

    plans = [plan(seed, time_limit_steps=100) for seed in SEEDS]
    episodes = tmp_path / "episodes"
    ours = roll_out(plans, pilot=tiny_policy, episodes=episodes, worlds=len(SEEDS))

    store = EpisodeStore(episodes, LAYOUT)
    assert [result.success for result in ours] == theirs["success"].any(dim=1).tolist()
    for place, uid in enumerate(store.uids()):
        actions = np.stack(store.table(uid)[ACTION_KEY])
        np.testing.assert_array_equal(actions, theirs["action"][place].numpy()[: len(actions)])

import shutil

import pytest

from data.episodes import EpisodeStore
from data.schema import Ending, Pilot, Source
from envs.tabletop import LAYOUT
from recap.rollout.manager import episode_uid
from recap.rollout.takeover import WhenStalled, WhenValueFalls

pytestmark = pytest.mark.render


def stamps(episodes):
    return {path: path.stat().st_mtime_ns for path in episodes.rglob("*.parquet")}


def test_a_name_says_what_an_episode_depends_on():
    assert episode_uid(Source.ROLLOUT, iteration=1, seed=10042) == "rollout-01-00010042"
    assert episode_uid(Source.DEMONSTRATION, iteration=0, seed=7) == "demonstration-00-00000007"


def test_a_collection_that_was_stopped_goes_on_to_the_same_episodes(
    plan, roll_out, tiny_policy, tmp_path, hashes
):
    episodes = tmp_path / "episodes"
    plans = [plan(seed, takeover_step=8 if seed % 3 == 0 else None) for seed in range(6)]
    roll_out(plans, pilot=tiny_policy, episodes=episodes, worlds=3)
    whole = hashes(episodes)
    assert len(whole) == 6

    for seed in (1, 2):  # of the first wave; the second is whole
        shutil.rmtree(episodes / f"rollout-01-{seed:08d}")
    kept = stamps(episodes)
    results = roll_out(plans, pilot=tiny_policy, episodes=episodes, worlds=3)
    assert hashes(episodes) == whole
    assert [result.seed for result in results] == [0, 1, 2]  # the second wave was left alone
    assert kept.items() <= stamps(episodes).items()


RULES = {
    "value": WhenValueFalls(drop=0.0001, earliest_step=3),
    "stall": WhenStalled(window_steps=4, spread=1.0, deviations=(0.3,) * 10, earliest_step=3),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_collection_with_takeovers_that_was_stopped_goes_on_to_the_same_episodes(
    plan, roll_out, tiny_policy, tiny_value, tmp_path, hashes, rule
):
    episodes = tmp_path / "episodes"
    plans = [
        plan(seed, takeover=rule if seed % 3 else None, correction_steps=6) for seed in range(6)
    ]
    asked = {"pilot": tiny_policy, "episodes": episodes, "worlds": 3, "value_model": tiny_value}
    results = roll_out(plans, **asked)
    whole = hashes(episodes)
    assert {result.seed for result in results if result.corrected_steps} <= {1, 2, 4, 5}
    assert any(result.corrected_steps for result in results)

    for seed in (2, 4):
        shutil.rmtree(episodes / f"rollout-01-{seed:08d}")
    assert roll_out(plans, **asked) == results
    assert hashes(episodes) == whole


def test_a_collection_that_is_whole_makes_nothing(demonstrations, roll_out, tmp_path):
    episodes = tmp_path / "episodes"
    assert len(roll_out(demonstrations(2), episodes=episodes)) == 2
    before = stamps(episodes)
    assert roll_out(demonstrations(2), episodes=episodes) == []
    assert stamps(episodes) == before


@pytest.mark.slow
def test_one_process_and_two_make_the_same_episodes(
    plan, roll_out, tiny_policy, tiny_value, tmp_path, hashes
):
    falls = RULES["value"]
    plans = [plan(seed, takeover_step=10 if seed % 2 else None) for seed in range(3)]
    plans += [plan(seed, takeover=falls, correction_steps=4) for seed in range(3, 6)]
    results = [
        roll_out(
            plans,
            pilot=tiny_policy,
            episodes=tmp_path / str(workers),
            workers=workers,
            worlds=2,
            value_model=tiny_value,
        )
        for workers in (1, 2)
    ]
    assert results[0] == results[1]
    assert [result.seed for result in results[1]] == list(range(6))
    assert hashes(tmp_path / "1") == hashes(tmp_path / "2")


def test_a_takeover_is_on_disk_as_frames_of_the_expert_and_as_a_correction(
    plan, roll_out, tiny_policy, tmp_path
):
    roll_out([plan(3, takeover_step=9)], pilot=tiny_policy, episodes=tmp_path / "episodes")
    store = EpisodeStore(tmp_path / "episodes", LAYOUT)
    (info,) = store.infos()
    pilots = list(store.table(info.uid)["recap.pilot"])
    assert info.source is Source.ROLLOUT
    assert info.policy_id == "tiny"
    assert info.ending is Ending.TIME_LIMIT
    assert info.measured_success is False
    assert (info.frames, info.corrected_frames) == (24, 15)
    assert pilots == [Pilot.POLICY] * 9 + [Pilot.EXPERT] * 15


def test_demonstrations_need_no_policy_and_correct_nobody(demonstrated):
    for info in demonstrated.infos():
        assert info.source is Source.DEMONSTRATION
        assert info.corrected_frames == 0
        assert info.measured_success is True
        assert info.ending is Ending.TERMINATED
        assert set(demonstrated.table(info.uid)["recap.pilot"]) == {Pilot.EXPERT}
        demonstrated.verify(info.uid)


def test_the_same_seeds_give_the_same_results_recorded_or_not(
    plan, roll_out, tiny_policy, tmp_path
):
    plans = [plan(seed, takeover_step=5, time_limit_steps=100) for seed in range(4)]
    first = roll_out(plans, pilot=tiny_policy)
    assert first == roll_out(plans, pilot=tiny_policy)
    assert first == roll_out(plans, pilot=tiny_policy, episodes=tmp_path / "episodes")
    assert any(result.success for result in first)
    for result in first:
        assert result.steps <= 100
        assert result.corrected_steps == result.steps - 5

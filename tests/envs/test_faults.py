import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError
from envs.faults import Delay, Faults, FrameLoss, Mishap


def test_what_is_put_in_arrives_after_the_latency_in_its_order():
    delay = Delay(0.1)
    delay.put("a", now_s=1.0)
    delay.put("b", now_s=1.05)
    assert delay.arrived(now_s=1.09) == []
    assert delay.arrived(now_s=1.1) == ["a"]
    assert delay.arrived(now_s=1.1) == []
    assert delay.arrived(now_s=2.0) == ["b"]


def test_without_latency_everything_arrives_at_once():
    delay = Delay(0.0)
    delay.put("a", now_s=3.0)
    delay.put("b", now_s=3.0)
    assert delay.arrived(now_s=3.0) == ["a", "b"]


def test_a_cleared_delay_forgets_what_is_under_way():
    delay = Delay(0.0)
    delay.put("a", now_s=0.0)
    delay.clear()
    assert delay.arrived(now_s=9.0) == []


@given(steps=st.integers(1, 200), latency_steps=st.integers(0, 40))
def test_a_latency_of_whole_steps_is_kept_in_spite_of_rounding(steps, latency_steps):
    delay, now_s, received = Delay(latency_steps * 0.005), 0.0, []
    for step in range(steps):
        delay.put(step, now_s=now_s)
        received += [(item, step) for item in delay.arrived(now_s=now_s)]
        now_s += 0.005
    assert received == [(k, k + latency_steps) for k in range(max(0, steps - latency_steps))]


def test_frames_get_lost_as_often_as_asked_and_as_the_seed_says():
    loss = FrameLoss(0.25, seed=1)
    lost = [loss.strikes() for _ in range(4000)]
    assert sum(lost) == pytest.approx(1000, abs=100)
    again, other = FrameLoss(0.25, seed=1), FrameLoss(0.25, seed=2)
    assert [again.strikes() for _ in range(4000)] == lost
    assert [other.strikes() for _ in range(4000)] != lost


def test_no_frame_gets_lost_unless_asked():
    loss = FrameLoss(0.0, seed=0)
    assert not any(loss.strikes() for _ in range(100))


def test_a_mishap_strikes_once_and_connecting_again_mends_it():
    mishap = Mishap(2.0)
    assert not mishap.has_struck(1e9)
    mishap.start_clock(10.0)
    assert not mishap.has_struck(11.9)
    assert mishap.has_struck(12.0)
    mishap.start_clock(13.0)
    assert not mishap.has_struck(1e9)


def test_connecting_before_the_mishap_starts_its_clock_anew():
    mishap = Mishap(2.0)
    mishap.start_clock(10.0)
    mishap.start_clock(11.0)
    assert not mishap.has_struck(12.5)
    assert mishap.has_struck(13.0)


def test_a_mishap_that_was_not_planned_never_strikes():
    mishap = Mishap(None)
    mishap.start_clock(0.0)
    assert not mishap.has_struck(1e12)


@pytest.mark.parametrize("name", ["action_latency_s", "observation_latency_s"])
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_a_latency_is_a_number_and_not_negative(name, value):
    with pytest.raises(ConfigError) as error:
        Faults(**{name: value})
    assert str(error.value) == f"{name} must be a number and not negative, got {value}."


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_share_of_lost_frames_is_less_than_all(fraction):
    with pytest.raises(ConfigError) as error:
        Faults(dropped_frame_fraction=fraction)
    assert str(error.value) == (
        f"dropped_frame_fraction must be at least 0 and less than 1, got {fraction}. "
        f"To lose every picture, use lose_camera_after_s."
    )

"""The laws of what may be sent to a robot, whoever is in control."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError
from recap.rollout.live.safety import SafetyConfig, SafetyFilter

NAMES = ("base.pos", "elbow.pos", "gripper.pos")
RATE_HZ = 50.0


def vector(*values):
    return np.array(values, dtype=np.float32)


def make_filter(*, at=(0.0, 0.0, 0.0), max_speed=180.0, **settings):
    config = SafetyConfig(max_speed=max_speed, **settings)
    safety = SafetyFilter(config, names=NAMES, control_rate_hz=RATE_HZ)
    safety.begin(vector(*at))
    return safety


def test_a_wish_within_everything_passes_unchanged_and_without_a_word():
    safe = make_filter().apply(vector(1.5, -3.25, 0.0))
    np.testing.assert_array_equal(safe.action, vector(1.5, -3.25, 0.0))
    assert safe.action.dtype == np.float32
    assert safe.concerns == ()


def test_limits_and_speed_worked_by_hand():
    # 180 units a second at 50 Hz are 3.6 a step; the gripper is allowed 500, which are 10.
    safety = make_filter(high={"elbow.pos": 2.0}, low={"base.pos": -1.0}, speeds={NAMES[2]: 500.0})
    safe = safety.apply(vector(-300.0, 300.0, 300.0))
    np.testing.assert_array_equal(safe.action, vector(-1.0, 2.0, 10.0))
    assert safe.concerns == (
        "elbow.pos: asked for more than its limit 2.0",
        "base.pos: asked for less than its limit -1.0",
        "gripper.pos: asked for a step of more than 10.0",
    )
    np.testing.assert_array_equal(safety.apply(vector(0, 0, 300)).action, vector(0, 0, 20))
    np.testing.assert_allclose(safety.apply(vector(9, 0, 0)).action, vector(3.6, 0, 10), rtol=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_number_holds_every_joint(bad):
    safety = make_filter()
    safety.apply(vector(1.0, 2.0, 3.0))
    safe = safety.apply(vector(2.0, bad, 4.0))
    np.testing.assert_array_equal(safe.action, vector(1.0, 2.0, 3.0))
    assert safe.concerns == (f"elbow.pos: asked for {bad}, which is not a number",)


def test_a_robot_that_begins_outside_its_limits_is_brought_back_without_a_jump():
    safety = make_filter(at=(0.0, 97.0, 0.0), high={"elbow.pos": 90.0})
    told = [float(safety.apply(vector(0.0, 120.0, 0.0)).action[1]) for _ in range(4)]
    assert told == pytest.approx([93.4, 90.0, 90.0, 90.0], rel=1e-6)
    assert float(make_filter(at=(0, 97, 0), high={"elbow.pos": 90.0}).apply(None).action[1]) == 97


wishes = st.one_of(
    st.none(),
    st.lists(
        st.floats(allow_nan=True, allow_infinity=True) | st.floats(-400, 400),
        min_size=3,
        max_size=3,
    ).map(np.array),
)
positions = st.lists(st.floats(-200, 200, width=32), min_size=3, max_size=3)
limits = st.tuples(st.floats(-150, 0), st.floats(1, 150))


@given(
    at=positions,
    elbow=limits,
    max_speed=st.floats(1e-3, 1e4),
    told=st.lists(st.tuples(wishes, st.sampled_from(["", "", "", "stop", "release", "hold"]))),
)
def test_no_sequence_of_wishes_breaks_a_law(at, elbow, max_speed, told):
    low, high = elbow
    safety = make_filter(
        at=at, max_speed=max_speed, low={"elbow.pos": low}, high={"elbow.pos": high}
    )
    before = safety.command
    np.testing.assert_array_equal(before, vector(*at))
    for wanted, done in told:
        if done == "stop":
            safety.stop(before)
        elif done == "release":
            safety.release()
        was_stopped = safety.is_stopped
        command = (safety.hold() if done == "hold" else safety.apply(wanted)).action
        assert command.dtype == np.float32
        assert np.isfinite(command).all()
        step = np.abs(command.astype(np.float64) - before)
        assert (step <= max_speed / RATE_HZ).all()
        # Outside the limits only where it was outside before, and never further out.
        assert min(low, before[1]) <= command[1] <= max(high, before[1])
        if was_stopped or done == "hold":
            np.testing.assert_array_equal(command, before)
        np.testing.assert_array_equal(safety.command, command)
        before = command


@given(at=positions, wanted=wishes)
def test_what_is_safe_is_left_alone(at, wanted):
    settings = {"low": {"base.pos": -210.0}, "high": {"base.pos": 210.0}}
    once = make_filter(at=at, **settings).apply(wanted).action
    again = make_filter(at=at, **settings).apply(once)
    np.testing.assert_array_equal(again.action, once)
    assert again.concerns == ()


def test_a_limit_that_float32_cannot_hold_is_kept():
    # The float32 next to 0.1 is above it.
    safety = make_filter(high={"base.pos": 0.1}, low={"elbow.pos": -0.1})
    command = safety.apply(vector(5.0, -5.0, 0.0)).action
    assert float(command[0]) <= 0.1
    assert float(command[1]) >= -0.1
    np.testing.assert_allclose(command, vector(0.1, -0.1, 0.0), rtol=1e-6)


def test_the_watchdog_counts_steps_without_a_usable_action():
    safety = make_filter(watchdog_s=0.06)  # three steps of 20 ms
    nothing = [None, vector(math.nan, 0, 0), None]
    seen = [(safety.apply(wanted), safety.is_starved)[1] for wanted in nothing]
    assert seen == [False, False, True]
    safety.apply(vector(0, 0, 0))
    assert not safety.is_starved


def test_holding_on_purpose_starves_nobody():
    safety = make_filter(watchdog_s=0.02)
    safety.apply(None)
    assert safety.is_starved
    for _ in range(5):
        safety.hold()
    assert not safety.is_starved


def test_a_stop_holds_the_robot_where_it_stands_until_it_is_released():
    safety = make_filter()
    safety.apply(vector(3.0, 3.0, 3.0))
    safety.stop(vector(2.0, 2.5, 3.0))
    assert safety.is_stopped
    for wanted in (vector(9, 9, 9), None, vector(math.nan, 0, 0)):
        np.testing.assert_array_equal(safety.apply(wanted).action, vector(2.0, 2.5, 3.0))
    safety.begin(vector(2.0, 2.5, 3.0))
    assert safety.is_stopped  # a new attempt lifts no emergency stop
    safety.release()
    assert not safety.is_stopped
    np.testing.assert_allclose(
        safety.apply(vector(9, 9, 9)).action, vector(5.6, 6.1, 6.6), rtol=1e-6
    )


def test_a_second_stop_does_not_let_the_robot_sag():
    safety = make_filter()
    safety.stop(vector(1.0, 1.0, 1.0))
    safety.stop(vector(0.5, 0.5, 0.5))
    np.testing.assert_array_equal(safety.command, vector(1.0, 1.0, 1.0))


def test_a_stop_without_a_position_keeps_the_command():
    safety = make_filter()
    safety.apply(vector(3.0, 3.0, 3.0))
    safety.stop(vector(math.nan, 0.0, 0.0))
    assert safety.is_stopped
    np.testing.assert_array_equal(safety.command, vector(3.0, 3.0, 3.0))


def test_nobody_changes_the_command_from_outside():
    safety = make_filter()
    safety.command[:] = 99.0
    safety.apply(vector(1, 1, 1)).action[:] = 99.0
    safety.hold().action[:] = 99.0
    np.testing.assert_array_equal(safety.command, vector(1, 1, 1))


def test_begin_forgets_the_silence_before():
    safety = make_filter(watchdog_s=0.02)
    safety.apply(None)
    safety.begin(vector(0, 0, 0))
    assert not safety.is_starved


def test_nothing_is_commanded_before_the_robot_was_seen():
    safety = SafetyFilter(SafetyConfig(), names=NAMES, control_rate_hz=RATE_HZ)
    with pytest.raises(ValueError, match=r"Say where the robot stands with begin\(\) first"):
        safety.apply(vector(0, 0, 0))
    with pytest.raises(ValueError, match="which is not a position"):
        safety.begin(vector(0, math.nan, 0))


def test_a_wish_for_another_robot_is_no_wish():
    with pytest.raises(ValueError, match=r"This robot has 3 joints, got shape \(2,\)"):
        make_filter().apply(vector(0, 0))


@pytest.mark.parametrize("kind", ["low", "high", "speeds"])
def test_a_limit_for_a_joint_that_is_not_there_is_refused(kind):
    with pytest.raises(ConfigError) as caught:
        make_filter(**{kind: {"elbo.pos": 90.0}})
    assert str(caught.value) == (
        f"safety.{kind}: the robot has no joint 'elbo.pos'. Did you mean 'elbow.pos'?"
    )


def test_a_joint_that_resembles_none_is_answered_with_all():
    with pytest.raises(ConfigError, match=r"It has base\.pos, elbow\.pos, gripper\.pos\."):
        make_filter(high={"zzz": 1.0})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_speed": 0.0}, "safety.max_speed must be a finite number above 0, got 0.0."),
        ({"max_speed": math.inf}, "safety.max_speed must be a finite number above 0, got inf."),
        ({"watchdog_s": -1.0}, "safety.watchdog_s must be a finite number above 0, got -1.0."),
        ({"speeds": {"a": 0}}, "safety.speeds 'a' must be a finite number above 0, got 0."),
        (
            {"low": {"a.pos:5": None}},
            "safety.low.a.pos:5 needs a number: type for example --safety.low.a.pos=5.",
        ),
        ({"low": {"a": math.nan}}, "safety.low 'a' must be a finite number, got nan."),
        (
            {"low": {"a": 5.0}, "high": {"a": 5.0}},
            "safety.low 'a' is 5.0, which leaves no room below safety.high, 5.0.",
        ),
    ],
)
def test_limits_that_no_robot_could_keep_are_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        SafetyConfig(**settings)
    assert str(caught.value) == message


def test_a_control_rate_is_above_zero():
    with pytest.raises(ValueError, match="A control rate is above 0 Hz, got 0"):
        SafetyFilter(SafetyConfig(), names=NAMES, control_rate_hz=0)

"""Pedals, buttons and keys, heard as one."""

import io
import logging
import os
import threading

import lerobot.utils.pedal
import pytest
from lerobot.teleoperators.utils import TeleopEvents

from data.errors import ConfigError, DeviceError
from recap.rollout.live import controls as controls_module
from recap.rollout.live.controls import CombinedControls, ControlsConfig, open_controls
from recap.rollout.live.handover import Event
from recap.rollout.live.pedal import PedalConfig, PedalControls
from recap.rollout.live.teleop_events import TeleopEventControls, has_events


class Gamepad:
    """What a LeRobot gamepad tells: whatever is held down right now."""

    def __init__(self):
        self.held = set()

    def get_teleop_events(self):
        events = (
            TeleopEvents.IS_INTERVENTION,
            TeleopEvents.TERMINATE_EPISODE,
            TeleopEvents.SUCCESS,
            TeleopEvents.RERECORD_EPISODE,
        )
        return {event: event in self.held for event in events}


class TalkativeGamepad(Gamepad):
    """One that tells of everything that LeRobot knows."""

    def get_teleop_events(self):
        return {event: event in self.held for event in TeleopEvents}


def heard(*held):
    """What is heard when these buttons are held, one set after another."""
    gamepad = Gamepad()
    controls = TeleopEventControls(gamepad)
    events = []
    for gamepad.held in held:
        events.append(controls.poll())
    return events


def test_the_button_of_intervention_takes_over_and_its_release_hands_back():
    down = {TeleopEvents.IS_INTERVENTION}
    expected = [[], [Event.TAKE_OVER], [], [Event.HAND_BACK], [], [Event.TAKE_OVER]]
    assert heard(set(), down, down, set(), set(), down) == expected


@pytest.mark.parametrize(
    ("held", "event"),
    [
        ({TeleopEvents.SUCCESS}, Event.SUCCESS),
        ({TeleopEvents.FAILURE}, Event.FAILURE),
        ({TeleopEvents.TERMINATE_EPISODE}, Event.FAILURE),
        ({TeleopEvents.SUCCESS, TeleopEvents.TERMINATE_EPISODE}, Event.SUCCESS),
        ({TeleopEvents.RERECORD_EPISODE, TeleopEvents.TERMINATE_EPISODE}, Event.DISCARD),
        ({TeleopEvents.RERECORD_EPISODE, TeleopEvents.SUCCESS}, Event.DISCARD),
    ],
)
def test_a_verdict_is_heard_once_however_long_its_button_is_held(held, event):
    gamepad = TalkativeGamepad()
    controls = TeleopEventControls(gamepad)
    gamepad.held = held
    assert [controls.poll() for _ in range(3)] == [[event], [], []]
    gamepad.held = set()
    assert controls.poll() == []


def test_a_verdict_and_a_handover_are_heard_together():
    both = {TeleopEvents.IS_INTERVENTION, TeleopEvents.SUCCESS}
    assert heard(both, set()) == [[Event.TAKE_OVER, Event.SUCCESS], [Event.HAND_BACK]]


@pytest.mark.parametrize("event", TeleopEvents)
def test_every_event_of_lerobot_means_something(event):
    gamepad = TalkativeGamepad()
    gamepad.held = {event}
    assert len(TeleopEventControls(gamepad).poll()) == 1


def test_a_leader_without_buttons_has_no_events():
    assert has_events(Gamepad())
    assert not has_events(object())
    assert not has_events(None)


@pytest.fixture
def pedal(tmp_path, monkeypatch):
    """A pedal whose presses the test makes, in place of LeRobot's listener."""
    device = tmp_path / "pedal"
    device.touch()
    presses = {}

    def listen(on_press, device_path):
        presses["press"], presses["path"] = on_press, device_path
        return threading.current_thread()

    monkeypatch.setattr(lerobot.utils.pedal, "start_pedal_listener", listen)
    presses["config"] = PedalConfig(is_used=True, device_path=str(device))
    return presses


def test_a_pedal_is_heard_once_for_each_press(pedal):
    controls = PedalControls(pedal["config"])
    assert pedal["path"] == pedal["config"].device_path
    for code in ("KEY_A", "KEY_B", "KEY_Z", "KEY_C"):
        pedal["press"](code)
    assert controls.poll() == [Event.PAUSE, Event.SWAP, Event.SUCCESS]
    assert controls.poll() == []
    controls.close()
    pedal["press"]("KEY_A")
    assert controls.poll() == []


def test_a_pedal_in_another_thread_is_heard(pedal):
    controls = PedalControls(pedal["config"])
    thread = threading.Thread(target=pedal["press"], args=("KEY_B",))
    thread.start()
    thread.join()
    assert controls.poll() == [Event.SWAP]


def test_a_pedal_that_is_not_there_is_missed_before_the_session(tmp_path):
    with pytest.raises(DeviceError) as caught:
        PedalControls(PedalConfig(is_used=True, device_path=str(tmp_path / "none")))
    assert str(caught.value) == (
        f"There is no foot pedal at {tmp_path}/none. Say where it is with "
        f"--controls.pedal.device_path=... (see /dev/input/by-id), or leave it out with "
        f"--controls.pedal.is_used=false."
    )


def test_a_pedal_that_cannot_be_read_says_what_to_install(pedal, monkeypatch):
    monkeypatch.setattr(lerobot.utils.pedal, "start_pedal_listener", lambda *_: None)
    with pytest.raises(DeviceError, match="A foot pedal is read with evdev: pip install evdev"):
        PedalControls(pedal["config"])


def test_one_pedal_has_one_meaning():
    with pytest.raises(ConfigError, match="need a code each, got KEY_A, KEY_A, KEY_C"):
        PedalConfig(swap="KEY_A")


def test_the_codes_are_those_of_lerobot():
    from lerobot.rollout.configs import DAggerPedalConfig

    ours, theirs = PedalConfig(), DAggerPedalConfig()
    assert ours.device_path == theirs.device_path
    assert (ours.pause, ours.swap) == (theirs.pause_resume, theirs.correction)
    assert PedalConfig(pause="KEY_LEFTCTRL").typed == {"b", "c"}


class Scripted:
    """Controls that hear what a test says, and remember being closed."""

    def __init__(self, *events, fails=False):
        self.events = list(events)
        self.is_closed = False
        self._fails = fails

    def poll(self):
        events, self.events = self.events, []
        return events

    def close(self):
        self.is_closed = True
        if self._fails:
            message = "stuck"
            raise OSError(message)


def test_an_emergency_stop_comes_first_and_the_rest_in_order():
    controls = CombinedControls(
        [Scripted(Event.SUCCESS, Event.PAUSE), Scripted(Event.TAKE_OVER, Event.EMERGENCY_STOP)]
    )
    expected = [Event.EMERGENCY_STOP, Event.SUCCESS, Event.PAUSE, Event.TAKE_OVER]
    assert controls.poll() == expected
    assert controls.poll() == []


def test_all_controls_are_closed_also_if_one_fails_to():
    parts = [Scripted(), Scripted(fails=True), Scripted()]
    with pytest.raises(OSError, match="stuck"):
        CombinedControls(parts).close()
    assert all(part.is_closed for part in parts)


@pytest.fixture
def typing(monkeypatch):
    """Make standard input a terminal; returns the end that a person types into."""
    person, program = os.openpty()
    stream = os.fdopen(program)
    monkeypatch.setattr("sys.stdin", stream)
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    yield lambda typed: os.write(person, typed)
    os.close(person)
    stream.close()


def test_keys_and_buttons_are_opened_together(typing):
    gamepad = Gamepad()
    controls = open_controls(ControlsConfig(), gamepad)
    assert "space: pause or go on" in controls.help_text
    gamepad.held = {TeleopEvents.IS_INTERVENTION}
    typing(b"!")
    events = set()
    for _ in range(1000):
        events.update(controls.poll())
    assert events == {Event.TAKE_OVER, Event.EMERGENCY_STOP}
    controls.close()


def test_a_pedal_takes_its_letters_from_the_keyboard(typing, pedal):
    controls = open_controls(ControlsConfig(pedal=pedal["config"]))
    assert "b: hand back" not in controls.help_text
    typing(b"bx")
    pedal["press"]("KEY_B")
    events = [event for _ in range(1000) for event in controls.poll()]
    assert events == [Event.SWAP, Event.DISCARD]
    controls.close()


def test_controls_that_are_switched_off_are_not_heard(typing):
    gamepad = Gamepad()
    gamepad.held = {TeleopEvents.SUCCESS}
    controls = open_controls(ControlsConfig(keyboard=False, teleop_events=False), gamepad)
    typing(b"q")
    assert [event for _ in range(100) for event in controls.poll()] == []
    assert controls.help_text == ""


def test_without_a_terminal_the_keys_are_missed_aloud(monkeypatch, caplog):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with caplog.at_level(logging.WARNING, logger=controls_module.__name__):
        controls = open_controls(ControlsConfig())
    assert caplog.messages == [
        "Standard input is no terminal, so keys are not heard. End an attempt by its time limit, "
        "by the world's own success, or with Ctrl-C."
    ]
    assert controls.poll() == []
    controls.close()

"""Who is in control: the table, and the laws of every sequence of events."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.schema import Ending, Outcome, Pilot
from recap.rollout.live.alignment import Alignment
from recap.rollout.live.handover import Event, Handover, Phase
from recap.rollout.live.safety import SafetyConfig, SafetyFilter

A, P, L, C, E = Phase.AUTONOMOUS, Phase.PAUSED, Phase.ALIGNING, Phase.CORRECTING, Phase.ENDED
WAY_TO = {
    A: [],
    P: [Event.PAUSE],
    L: [Event.TAKE_OVER],
    C: [Event.TAKE_OVER, Event.ALIGNED],
    E: [Event.FAILURE],
}
#                    from A, P, L, C, E
TABLE = {
    Event.PAUSE: (P, A, P, P, E),
    Event.HALT: (P, P, P, P, E),
    Event.TAKE_OVER: (L, L, L, C, E),
    Event.HAND_BACK: (A, A, A, A, E),
    Event.SWAP: (L, L, A, A, E),
    Event.ALIGNED: (A, P, C, C, E),
    Event.READY: (A, P, L, C, E),
    Event.EMERGENCY_STOP: (P, P, P, P, E),
}
ENDINGS = {
    Event.SUCCESS: (Ending.STOPPED, Outcome.SUCCESS),
    Event.FAILURE: (Ending.STOPPED, Outcome.FAILURE),
    Event.DISCARD: (Ending.STOPPED, Outcome.DISCARD),
    Event.TIME_UP: (Ending.TIME_LIMIT, None),
    Event.TERMINATED: (Ending.TERMINATED, None),
    Event.LOST: (Ending.INTERRUPTED, None),
    Event.QUIT: (Ending.INTERRUPTED, None),
}


def rollout(*events, corrector=Pilot.TELEOPERATOR):
    handover = Handover(first_pilot=Pilot.POLICY, corrector=corrector)
    for event in events:
        handover.handle(event)
    return handover


def demonstration(*events, by=Pilot.TELEOPERATOR):
    handover = Handover(first_pilot=by, corrector=None)
    for event in events:
        handover.handle(event)
    return handover


def test_the_table_speaks_of_every_event():
    assert {*TABLE, *ENDINGS} == set(Event)


@pytest.mark.parametrize("event", TABLE)
@pytest.mark.parametrize(("place", "phase"), list(enumerate(WAY_TO)))
def test_every_event_leads_where_the_table_says(event, place, phase):
    handover = rollout(*WAY_TO[phase])
    assert handover.phase is phase
    has_changed = handover.handle(event)
    assert handover.phase is TABLE[event][place]
    is_latched = event is Event.EMERGENCY_STOP
    assert has_changed == (handover.phase is not phase or is_latched)


@pytest.mark.parametrize("event", ENDINGS)
@pytest.mark.parametrize("phase", [A, P, L, C])
def test_every_ending_is_kept_as_it_was_told(event, phase):
    handover = rollout(*WAY_TO[phase])
    assert handover.handle(event)
    assert handover.phase is E
    assert (handover.ending, handover.verdict) == ENDINGS[event]
    assert handover.pilot is None
    assert not handover.is_recorded


@pytest.mark.parametrize(
    ("phase", "pilot", "is_recorded"),
    [
        (A, Pilot.POLICY, True),
        (P, None, False),
        (L, None, False),
        (C, Pilot.TELEOPERATOR, True),
        (E, None, False),
    ],
)
def test_who_is_in_control_and_what_is_kept(phase, pilot, is_recorded):
    handover = rollout(*WAY_TO[phase])
    assert (handover.pilot, handover.is_recorded) == (pilot, is_recorded)


def test_an_end_is_final():
    handover = rollout(Event.SUCCESS)
    for event in Event:
        handover.handle(event)
    assert (handover.phase, handover.ending, handover.verdict) == (
        E,
        Ending.STOPPED,
        Outcome.SUCCESS,
    )


def test_a_person_who_goes_on_after_a_pause_is_aligned_again():
    handover = rollout(Event.TAKE_OVER, Event.ALIGNED, Event.PAUSE, Event.PAUSE)
    assert handover.phase is L
    handover = rollout(Event.TAKE_OVER, Event.PAUSE, Event.PAUSE)
    assert handover.phase is L


def test_a_swap_in_a_pause_gives_control_to_the_other():
    assert rollout(Event.PAUSE, Event.SWAP).phase is L
    assert rollout(Event.TAKE_OVER, Event.ALIGNED, Event.PAUSE, Event.SWAP).phase is A


def test_an_emergency_stop_is_lifted_by_pause_alone_and_moves_nothing_then():
    handover = rollout(Event.EMERGENCY_STOP)
    for event in set(Event) - {Event.PAUSE, *ENDINGS}:
        assert not handover.handle(event)
        assert (handover.phase, handover.is_stopped) == (P, True)
    assert handover.handle(Event.PAUSE)
    assert (handover.phase, handover.is_stopped) == (P, False)
    assert handover.handle(Event.PAUSE)
    assert handover.phase is A


def test_an_emergency_stop_outlives_the_attempt():
    handover = rollout(Event.EMERGENCY_STOP, Event.DISCARD)
    assert (handover.phase, handover.is_stopped) == (E, True)
    assert rollout(Event.DISCARD, Event.EMERGENCY_STOP).is_stopped
    assert not rollout(Event.DISCARD, Event.EMERGENCY_STOP, Event.PAUSE).is_stopped


@pytest.mark.parametrize(
    ("events", "must_forget"),
    [
        ((), False),
        ((Event.PAUSE,), False),
        ((Event.PAUSE, Event.PAUSE), True),
        ((Event.TAKE_OVER, Event.ALIGNED), False),
        ((Event.TAKE_OVER, Event.ALIGNED, Event.HAND_BACK), True),
        ((Event.TAKE_OVER, Event.HAND_BACK), True),
        ((Event.TAKE_OVER, Event.HAND_BACK, Event.PAUSE), False),
    ],
)
def test_the_policy_forgets_whenever_it_gets_control_again(events, must_forget):
    handover = rollout(*events)
    assert handover.policy_must_forget == must_forget
    assert handover.take_policy_must_forget() == must_forget
    assert not handover.take_policy_must_forget()


def test_without_a_corrector_nobody_takes_over():
    handover = rollout(corrector=None)
    assert not handover.can_take_over
    assert not handover.handle(Event.TAKE_OVER)
    assert not handover.handle(Event.SWAP)
    assert handover.pilot is Pilot.POLICY
    assert rollout().can_take_over


@pytest.mark.parametrize("by", [Pilot.TELEOPERATOR, Pilot.EXPERT])
def test_a_demonstration_begins_aligning_and_has_no_policy_to_hand_back_to(by):
    handover = demonstration(by=by)
    assert (handover.phase, handover.pilot) == (L, None)
    handover.handle(Event.ALIGNED)
    assert (handover.phase, handover.pilot) == (C, by)
    assert not handover.can_take_over
    assert not handover.handle(Event.HAND_BACK)
    assert not handover.handle(Event.SWAP)
    handover.handle(Event.PAUSE)
    assert not handover.handle(Event.HAND_BACK)
    assert handover.handle(Event.SWAP)
    assert handover.phase is L


@pytest.mark.parametrize(
    ("first", "corrector"),
    [
        (Pilot.POLICY, Pilot.POLICY),
        (Pilot.TELEOPERATOR, Pilot.POLICY),
        (Pilot.TELEOPERATOR, Pilot.EXPERT),
    ],
)
def test_nobody_corrects_themselves_nor_a_demonstrator(first, corrector):
    with pytest.raises(ValueError, match=f"'{corrector}' cannot correct '{first}'"):
        Handover(first_pilot=first, corrector=corrector)
    Handover(first_pilot=Pilot.EXPERT, corrector=Pilot.EXPERT)


LARGEST_STEP = 2.0
SLIDE_STEP = 1.0
anything = st.floats(-1e3, 1e3, width=32) | st.sampled_from([math.nan, math.inf, -math.inf])
happenings = st.lists(
    st.one_of(
        # More of what goes on than of what ends.
        st.sampled_from([event for event in Event if event not in ENDINGS]),
        st.tuples(st.none() | anything, anything),
        st.tuples(st.none() | anything, st.floats(-5, 5, width=32)),
        st.sampled_from(list(Event)),
    ),
    max_size=60,
)


class Play:
    """An attempt of one joint: what a session does with the handover, in the fewest words."""

    def __init__(self, handover):
        self.handover = handover
        self.safety = SafetyFilter(
            SafetyConfig(max_speed=LARGEST_STEP), names=["j"], control_rate_hz=1.0
        )
        self.safety.begin(np.float32([0.0]))
        self.alignment = Alignment(names=["j"], largest_step=SLIDE_STEP, tolerance=0.5)
        self.commands = [0.0]
        self.pilots = []

    def hear(self, event):
        """Let an event happen, and check what may never be."""
        phase, ending, was_stopped = self.state()
        self.handover.handle(event)
        after, ending_after, is_stopped = self.state()
        if phase is E:
            assert (after, ending_after) == (phase, ending)
        if event is Event.EMERGENCY_STOP:
            assert is_stopped
        if was_stopped and event is not Event.PAUSE:
            assert is_stopped
        if is_stopped:
            assert after in (P, E)
            assert self.handover.pilot is None
        if is_stopped and not was_stopped:
            self.safety.stop(self.safety.command)
        if was_stopped and not is_stopped:
            assert after in (P, E)  # it was lifted, and nothing moves yet
            self.safety.release()
        assert (after is E) == (ending_after is not None)

    def step(self, policy, leader):
        """Make one control step in which the policy and the leader want this."""
        wants = {A: policy, C: leader}.get(self.handover.phase)
        wanted = None if wants is None else np.float32([wants])
        if self.handover.phase is L:
            wanted = self.alignment.step(robot=self.safety.command, leader=np.float32([leader]))
        pilot, is_recorded = self.handover.pilot, self.handover.is_recorded
        command = float(self.safety.apply(wanted).action[0])
        assert is_recorded == (pilot is not None)
        if is_recorded:
            self.pilots.append(pilot)
        else:
            largest = SLIDE_STEP if self.handover.phase is L else 0.0
            assert abs(command - self.commands[-1]) <= largest + 1e-3
        self.commands.append(command)
        if self.handover.phase is L and self.alignment.is_done:
            self.hear(Event.ALIGNED)

    def state(self):
        """What the laws are about."""
        return self.handover.phase, self.handover.ending, self.handover.is_stopped


def check_laws(first, corrector, told):
    play = Play(Handover(first_pilot=first, corrector=corrector))
    for happening in told:
        if isinstance(happening, Event):
            play.hear(happening)
        else:
            play.step(*happening)
    assert np.isfinite(play.commands).all()
    assert np.abs(np.diff(play.commands)).max(initial=0.0) <= LARGEST_STEP
    assert set(play.pilots) <= {first, corrector} - {None}
    if first is not Pilot.POLICY:
        assert set(play.pilots) <= {first}


casts = st.sampled_from(
    [
        (Pilot.POLICY, Pilot.TELEOPERATOR),
        (Pilot.POLICY, Pilot.EXPERT),
        (Pilot.POLICY, None),
        (Pilot.TELEOPERATOR, None),
        (Pilot.EXPERT, Pilot.EXPERT),
    ]
)


@given(cast=casts, told=happenings)
@settings(max_examples=50)
def test_no_sequence_of_events_breaks_a_law(cast, told):
    check_laws(*cast, told)


@pytest.mark.slow
@given(cast=casts, told=happenings)
@settings(max_examples=1000)
def test_a_thousand_sequences_of_events_break_no_law(cast, told):
    check_laws(*cast, told)

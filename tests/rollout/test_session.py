"""A session, attempt after attempt, with an arm that obeys at once and a clock that never waits."""

from contextlib import closing

import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.errors import EpisodeError
from data.outcomes import OutcomeStore
from data.recording import EpisodeRecorder
from data.schema import Ending, Outcome, Source
from recap.remote.errors import PolicyRefusedError
from recap.rollout.live import session as session_module
from recap.rollout.live.handover import Event
from recap.rollout.live.interruption import Interruption
from recap.rollout.live.plan import SessionPlan
from recap.rollout.live.session import Session
from recap.rollout.live.verdicts import OperatorVerdicts

READY, PAUSE, STOP, QUIT = Event.READY, Event.PAUSE, Event.EMERGENCY_STOP, Event.QUIT
SUCCESS, FAILURE, DISCARD = Event.SUCCESS, Event.FAILURE, Event.DISCARD


class Told:
    """A teller that keeps the moments in which something changed, and what it warned of."""

    def __init__(self):
        self.moments = []
        self.warnings = set()

    def tell(self, moment, tally, result, *, warning=""):
        if self.moments[-1:] != [moment.value]:
            self.moments.append(moment.value)
        self.warnings |= {warning} - {""}

    def beep(self):
        pass


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(session_module, "SECONDS_BETWEEN_RECONNECTS", 0.0)
    monkeypatch.setattr(session_module, "SECONDS_BETWEEN_LOOKS", 0.0)


@pytest.fixture
def outcomes(tmp_path):
    with closing(OutcomeStore(tmp_path / "outcomes.db")) as store:
        yield store


@pytest.fixture
def start(make_rig, tmp_path, outcomes):
    """Make a session in which the operator types a script, step by step, and then quits."""

    def make(script, *, episodes=9, reset_s=0.0, says=None, rig=None, **options):
        rig = rig or make_rig(**options)
        rig.controls.queue = [[event] if isinstance(event, Event) else event for event in script]
        rig.controls.rest = [QUIT]
        if rig.policy is not None:
            rig.policy.says = [[1, 0, 50]] * 999 if says is None else says
        plan = SessionPlan(
            iteration=0 if rig.policy is None else 1,
            episodes=episodes,
            minutes=0,
            reset_s=reset_s,
            time_limit_steps=5,
            first_seed=70,
            operator="anna",
            session="20260102T030405678901",
        )
        store = EpisodeStore(tmp_path / "episodes", rig.world.layout)
        made = Session(
            rig,
            plan,
            store=store,
            verdicts=OperatorVerdicts(outcomes, operator=plan.operator),
            teller=Told(),
            interruption=Interruption(),
        )
        made.rig, made.store, made.told = rig, store, made._teller
        return made

    return make


def endings(session):
    return sorted(info.ending.value for info in session.store.infos())


def test_a_session_ends_when_there_are_enough_attempts(start):
    session = start([READY, [], [], [], [], []] * 3, episodes=2)
    result = session.run()
    assert len(result.uids) == 2
    assert result.frames == 10
    assert endings(session) == ["time_limit"] * 2
    assert session.told.moments == ["reset", "autonomous", "ended"] * 2 + ["session over"]
    info = session.store.info(result.uids[0])
    assert (info.source, info.iteration, info.policy_id) == (Source.ROLLOUT, 1, "fake")
    assert (info.seed, info.task) == (None, "put the cube on the pad")
    assert info.session == "20260102T030405678901"
    assert session.rig.policy.seeds == [70, 71]
    assert session.rig.world._robot.holds == 1


def test_verdicts_bear_the_name_of_the_operator(start, outcomes):
    session = start([READY, [], SUCCESS, READY, [], FAILURE, READY, [], DISCARD, READY, [], []])
    result = session.run()
    judged = [judgement for uid in result.uids for judgement in outcomes.history(uid)]
    said = [(j.episode_uid, j.verdict, j.rater) for j in judged]
    verdicts = (Outcome.SUCCESS, Outcome.FAILURE, Outcome.DISCARD)
    assert said == [(u, v, "anna") for u, v in zip(result.uids, verdicts, strict=False)]
    # The fourth was broken off by quitting: it is kept, and nobody judged it.
    assert (len(result.uids), result.interrupted) == (4, 1)
    assert session.store.info(result.uids[3]).ending is Ending.INTERRUPTED
    assert (result.successes, result.failures, result.discarded) == (1, 1, 1)


def test_an_attempt_without_a_frame_leaves_nothing(start):
    session = start([READY, SUCCESS, READY, [], FAILURE])
    result = session.run()
    assert len(result.uids) == 1
    assert result.successes == 0


def test_a_demonstration_is_the_persons(start):
    session = start([READY, [], [], SUCCESS], with_policy=False)
    result = session.run()
    info = session.store.info(result.uids[0])
    assert (info.source, info.iteration, info.corrected_frames) == (Source.DEMONSTRATION, 0, 0)


def test_between_attempts_the_robot_goes_home_slowly(start):
    session = start([READY, [], SUCCESS] + [[]] * 4, says=[[5, 0, 50], [10, 0, 50], [12, 0, 50]])
    session.run()
    told = [command[0] for command in session.rig.world._robot.told]
    # Ready, one step of flight to 5; then home by at most 5 units in a step.
    assert told == [0, 5, 5, 0, 0, 0, 0, 0]
    assert session.rig.approach_step == 5


def test_an_emergency_stop_between_attempts_holds_until_it_is_lifted(start):
    says = [[5, 0, 50], [10, 0, 50], [15, 0, 50], [15, 0, 50]]
    session = start(
        [READY, [], [], [], SUCCESS, [], STOP, READY, READY, [], PAUSE, [], []], says=says
    )
    session.run()
    told = [command[0] for command in session.rig.world._robot.told]
    #               r  flying        s   home, stopped            lifted, home
    assert told == [0, 5, 10, 15, 15, 10, 10, 10, 10, 10, 5, 0, 0, 0]
    assert session.told.moments[3:] == ["reset", "stopped", "reset", "session over"]


@pytest.mark.parametrize("said", [[READY, STOP], [STOP, READY], [STOP, READY, PAUSE]])
def test_a_stop_wins_over_ready_in_the_same_moment(start, said):
    session = start([said, [], []])
    session.run()
    assert session.rig.policy.seeds == []
    assert session.told.moments == ["stopped", "session over"]


def test_a_stop_of_an_attempt_outlives_it(start):
    session = start([READY, [], STOP, SUCCESS, READY, READY])
    result = session.run()
    assert len(result.uids) == 1
    assert session.told.moments == ["reset", "autonomous", "stopped", "session over"]
    assert session.rig.safety.is_stopped  # quit while stopped: nothing moved any more
    assert session.rig.world._robot.holds == 1


def test_after_a_while_an_attempt_begins_by_itself_but_never_beside_a_stop(start, monkeypatch):
    now = iter(np.arange(0, 1e6, 0.1).tolist())
    monkeypatch.setattr(session_module.time, "monotonic", lambda: next(now))
    session = start([[]] * 40, reset_s=1.0, episodes=1)
    assert len(session.run().uids) == 1
    session = start([STOP, *[[]] * 40, PAUSE, [], QUIT], reset_s=1.0)
    session.run()
    assert session.rig.policy.seeds == []


def test_a_lost_robot_ends_the_attempt_and_is_waited_for(start):
    session = start([READY, [], [], [], [], READY, [], PAUSE, READY, [], [], SUCCESS], episodes=2)
    rig = session.rig
    looks, observe = [0], rig.world.observe

    def losing():
        looks[0] += 1
        if looks[0] == 4:
            rig.world._robot.lost_looks = 4  # this look, one of the reconnecting, two tries
        return observe()

    rig.world.observe = losing
    result = session.run()
    assert session.told.warnings == {
        "The robot was lost (observe: no answer).",
    }
    # Back again, it stands still until the stop is lifted, whatever is said before.
    assert session.told.moments == [
        *("reset", "autonomous", "ended", "lost", "stopped", "reset"),
        *("autonomous", "ended", "session over"),
    ]
    assert [session.store.info(uid).ending for uid in result.uids] == [
        Ending.INTERRUPTED,
        Ending.STOPPED,
    ]
    assert (result.interrupted, result.successes) == (1, 1)
    assert rig.world._robot.holds == 2  # when it was lost, and at the end


def test_a_lost_leader_is_connected_again_without_letting_go_of_the_robot(start):
    session = start([READY, [], Event.TAKE_OVER, [], [], [], PAUSE])
    session.rig.leader.error = session_module.DeviceError("The teleoperator was lost (read: x).")
    session.rig.world._robot.disconnect = lambda: pytest.fail("the arm would fall")
    session.run()
    assert session.rig.leader.reconnects == 1
    assert "lost" in session.told.moments


def test_whoever_gives_up_on_a_lost_robot_quits(start):
    session = start([[], [], []])
    session.rig.world._robot.lost_looks = 10**6
    assert session.run().uids == []
    assert session.told.moments == ["lost", "session over"]


@pytest.mark.parametrize("error", [PolicyRefusedError("other policy"), EpisodeError("disk full")])
def test_what_cannot_be_mended_ends_the_session_with_the_robot_holding(start, error, monkeypatch):
    session = start([READY, [], [], []])
    if isinstance(error, PolicyRefusedError):
        action = session.rig.policy.action
        session.rig.policy.action = lambda seen: action(seen) if _first(session) else _raise(error)
    else:
        add = EpisodeRecorder.add

        def adding(recorder, **frame):
            return add(recorder, **frame) if recorder.frames == 0 else _raise(error)

        monkeypatch.setattr(EpisodeRecorder, "add", adding)
    with pytest.raises(type(error), match=str(error)):
        session.run()
    assert endings(session) == ["interrupted"]  # the frame before is kept
    assert session.rig.world._robot.holds == 2


def _first(session):
    return len(session.rig.policy.says) == 999


def _raise(error):
    raise error


def test_ctrl_c_ends_the_attempt_and_the_session(start):
    session = start([READY, *[[]] * 50])
    session._interruption.has_come = False
    act = session.rig.world.act

    def interrupted(action):
        session._interruption.has_come |= len(session.rig.world._robot.told) >= 3
        act(action)

    session.rig.world.act = interrupted
    result = session.run()
    assert (len(result.uids), result.interrupted) == (1, 1)


class TestScenes:
    """With a robot that lays its scenes itself."""

    @pytest.fixture
    def laying(self, make_rig):
        rig = make_rig()
        arm = rig.world._robot
        arm.seeds = []

        def reset_scene(seed):
            arm.seeds.append(seed)
            return f"task {seed}"

        arm.reset_scene = reset_scene
        rig.world._lays_scenes = True
        return rig

    def test_every_attempt_has_the_next_scene(self, start, laying):
        session = start([[]] * 99, rig=laying, episodes=3)
        result = session.run()
        assert laying.world._robot.seeds == [70, 71, 72]
        infos = [session.store.info(uid) for uid in result.uids]
        assert [(i.seed, i.task) for i in infos] == [(s, f"task {s}") for s in (70, 71, 72)]

    def test_what_is_typed_while_the_scene_is_laid_was_meant_for_before(self, start, laying):
        session = start([FAILURE, [], [], [], [], [], SUCCESS, *[[]] * 9], rig=laying, episodes=2)
        result = session.run()
        assert (result.failures, result.successes, result.frames) == (0, 0, 10)

    def test_a_stop_that_is_typed_then_counts(self, start, laying):
        session = start([STOP, [], PAUSE, [], [], [], [], [], []], rig=laying, episodes=1)
        session.run()
        # After the stop the scene is laid again: nobody knows what happened to it.
        assert laying.world._robot.seeds == [70, 70]
        assert session.told.moments == [
            *("reset", "stopped", "reset", "autonomous", "ended", "session over")
        ]

    def test_a_robot_that_is_back_goes_on_without_anybody(self, start, laying):
        session = start([[]] * 99, rig=laying, episodes=2)
        laying.policy.action = lambda seen, say=laying.policy.action: _lose_once(laying, say(seen))
        result = session.run()
        assert endings(session) == ["interrupted", "time_limit"]
        assert len(result.uids) == 2
        assert "stopped" not in session.told.moments

    def test_a_measurement_that_fails_is_no_measurement(self, start, laying, monkeypatch):
        kind = type(laying.world)
        unknown = property(lambda world: _raise(session_module.DeviceError("gone")))
        session = start([[], [], SUCCESS], rig=laying, episodes=1)
        session.rig.controls.rest = []
        keep = session._keep

        def keeping(*arguments):
            monkeypatch.setattr(kind, "is_success", unknown)
            keep(*arguments)

        session._keep = keeping
        result = session.run()
        assert session.store.info(result.uids[0]).measured_success is None
        assert result.successes == 1


def _lose_once(rig, action):
    if len(rig.policy.says) == 997:
        rig.world._robot.lost_looks = 1
    return action

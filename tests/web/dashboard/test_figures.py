"""All numbers of a project, from its desk."""

import time
from types import MappingProxyType, SimpleNamespace

import pytest

from data.files import write_json_atomically
from data.judgement_batch import NewJudgement
from data.outcomes import OutcomeStore
from data.schema import Layout, Outcome
from data.verdicts import UNDECIDED, Decision, DecisionRule, Rule
from recap.web.dashboard.figures import Dashboard
from recap.web.desk import Desk
from recap.web.desk.catalogue import Entry, Snapshot, order_key
from recap.web.desk.judging import NOTHING_SAID, Standing

LAYOUT = Layout(
    fps=20, cameras={"front": (64, 96)}, state_names=("x",), action_names=("dx",), robot_type="r"
)


@pytest.fixture
def open_desk():
    opened = []

    def open_(project, **about):
        store = OutcomeStore(project.outcomes)
        desk = Desk.open(project, store, rule=DecisionRule(**about))
        opened.append((desk, store))
        desk.catalogue.refresh()
        return desk, store

    yield open_
    for desk, store in opened:
        desk.close()
        store.close()


def judge(store, uid, **verdicts):
    lines = [
        NewJudgement(episode_uid=uid, rater=rater, verdict=verdict)
        for rater, verdict in verdicts.items()
    ]
    return store.add(lines)


def test_the_numbers_of_a_project_follow_its_verdicts(project, open_desk):
    desk, store = open_desk(project, rule=Rule.UNANIMOUS, raters_needed=1)
    dashboard = Dashboard(desk)
    assert dashboard.now().waiting == 6
    uids = sorted(desk.catalogue.infos)
    judge(store, uids[0], Ana=Outcome.SUCCESS, Ben=Outcome.FAILURE, simulator=Outcome.SUCCESS)
    judge(store, uids[1], Ana=Outcome.SUCCESS)
    time.sleep(0.3)  # what others wrote is asked for a few times a second
    told = dashboard.now()
    assert (told.episodes, told.decided, told.waiting, told.third_looks) == (6, 1, 4, 1)
    assert told.disputed == 1
    (disputed,) = told.disputed_episodes
    assert disputed.uid == uids[0]
    assert disputed.verdicts == {"Ana": Outcome.SUCCESS, "Ben": Outcome.FAILURE}
    assert disputed.outcome is None
    (lap,) = told.laps
    assert (lap.iteration, lap.attempts.successes, lap.attempts.waiting) == (1, 1, 4)
    # 24 frames at 20 Hz are 1.2 s: one success in 1.2 s is 3,000 an hour.
    assert lap.attempts.successes_per_hour.point == pytest.approx(3000.0)
    assert told.revision == desk.catalogue.revision + desk.judging.revision


def test_decided_waiting_and_third_looks_are_all_attempts(project, open_desk):
    desk, store = open_desk(project, rule=Rule.MAJORITY, raters_needed=3)
    uids = sorted(desk.catalogue.infos)
    said = {"Ana": Outcome.SUCCESS, "Ben": Outcome.FAILURE, "Eve": Outcome.DISCARD}
    judge(store, uids[0], **said)
    judge(store, uids[1], **{**said, "Eve": Outcome.SUCCESS})
    judge(store, uids[2], Ana=Outcome.SUCCESS, Ben=Outcome.FAILURE)
    time.sleep(0.3)  # what others wrote is asked for a few times a second
    told = Dashboard(desk).now()
    assert (told.decided, told.waiting, told.third_looks) == (1, 4, 1)
    assert told.disputed == 3
    (lap,) = told.laps
    assert (lap.attempts.disputed, lap.attempts.disputed_decided) == (3, 1)


def test_a_verdict_that_changed_after_training_is_told(project, open_desk):
    desk, store = open_desk(project)
    uid = sorted(desk.catalogue.infos)[0]
    line = {"info": {"uid": uid}, "outcome": "failure"}
    write_json_atomically(project.trainsets / "ab12" / "meta" / "recap.json", {"episodes": [line]})
    stage = {"status": "complete", "inputs": {"trainsets/ab12": "x"}, "outputs": {}}
    write_json_atomically(project.manifest(1), {"stages": {"train-value": stage}})
    dashboard = Dashboard(desk)
    judge(store, uid, Ana=Outcome.FAILURE)
    time.sleep(0.3)
    assert not [step for step in dashboard.now().next_steps if "changed" in step.text]
    judge(store, uid, Ana=Outcome.SUCCESS)
    time.sleep(0.3)
    (told,) = [step for step in dashboard.now().next_steps if "changed" in step.text]
    assert told.text.startswith("1 verdict changed since the training of iteration 1.")


def test_the_numbers_are_worked_out_again_only_when_something_changed(project, open_desk, evaluate):
    desk, _ = open_desk(project)
    dashboard = Dashboard(desk)
    before = dashboard.now()
    assert dashboard.now() is before
    evaluate(project, 1)
    told = dashboard.now()
    assert told.laps[0].evaluation.success.point == 0.62
    assert told.laps[0].report is None
    project.report(1).write_text("<p>")
    assert dashboard.now().laps[0].report == "/reports/1"


def test_laps_with_nothing_to_show_are_left_out_and_value_models_begin_with_pre_training(
    empty, open_desk, evaluate, measure
):
    evaluate(empty, 2)
    for lap in (1, None):
        measure(empty, lap)
    told = Dashboard(open_desk(empty)[0]).now()
    assert [lap.iteration for lap in told.laps] == [2]
    assert told.laps[0].attempts is None
    assert [model.iteration for model in told.value_models] == [None, 1]


@pytest.mark.parametrize(
    ("count", "problem"),
    [
        (1, "The folder broken-0 is not a whole episode, and counts nowhere."),
        (
            7,
            "7 folders are not whole episodes, and count nowhere: broken-0, broken-1, broken-2, "
            "broken-3, broken-4 and 2 more.",
        ),
    ],
)
def test_damaged_folders_are_named(empty, open_desk, count, problem):
    for number in range(count):
        (empty.episodes / f"broken-{number}").mkdir(parents=True)
    desk, _ = open_desk(empty)
    desk.catalogue.refresh()
    assert Dashboard(desk).now().problems == [problem]


def many(count, *, laps, info):
    entries = [
        Entry(info=info(n, iteration=n % laps, frames=40 + n % 60), content_hash="", pilots=None)
        for n in range(count)
    ]
    return Snapshot(
        entries=MappingProxyType({entry.info.uid: entry for entry in entries}),
        order=tuple(sorted(entries, key=lambda entry: order_key(entry.info))),
        layout=LAYOUT,
        revision=count,
    )


@pytest.mark.slow
@pytest.mark.parametrize("laps", [1, 5])
def test_ten_thousand_episodes_are_summed_up_in_a_blink(empty, laps, info):
    snapshot = many(10_000, laps=laps, info=info)
    decided = Standing(
        decision=Decision(
            outcome=Outcome.SUCCESS, success_frame=None, raters=("Ana",), is_disputed=False
        )
    )
    judged = {entry.info.uid for entry in snapshot.order[::2]}
    judging = SimpleNamespace(
        revision=5_000,
        rule=DecisionRule(),
        refresh=lambda: None,
        standing=lambda uid: decided if uid in judged else NOTHING_SAID,
    )
    catalogue = SimpleNamespace(now=snapshot)
    desk = SimpleNamespace(project=empty, catalogue=catalogue, judging=judging)
    dashboard = Dashboard(desk)
    took_s = []
    for _ in range(5):
        judging.revision += 1
        judged.add(snapshot.order[2 * len(took_s) + 1].info.uid)
        began_s = time.perf_counter()
        told = dashboard.now()
        took_s.append(time.perf_counter() - began_s)
    assert told.decided == 5_005
    assert NOTHING_SAID.decision is UNDECIDED
    # A tenth of a second is the aim; a machine that is busy with other things gets three.
    assert min(took_s) < 0.3, took_s

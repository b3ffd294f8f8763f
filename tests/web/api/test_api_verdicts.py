"""Verdicts, withdrawals and looks, sent to the API as a form sends them."""

import csv
import io
import itertools
import shutil
import threading

import pyarrow.parquet as pq
import pytest

from data.criteria import Criteria
from data.outcomes import OutcomeStore
from data.verdicts import DecisionRule
from recap.web.app import create_app
from recap.web.desk import timeline
from recap.web.schemas import MOST_NOTE_CHARACTERS

FIRST, SECOND = "rollout-01-00000000", "rollout-01-00000001"
NOWHERE = "rollout-01-99999999"
CRITERIA = Criteria(questions={"grasped": "Was it grasped?", "placed": "Was it placed?"}, needed=2)
GONE = f"There is no attempt '{NOWHERE}'. It may have been removed, or is damaged."
SUCCESS = {"rater": "Anna", "verdict": "success", "request_id": "request-of-anna"}


def test_a_line_says_who_said_what_when(form):
    line = form.judge(FIRST, "failure", "Zoë Müller", note="dropped")
    assert line["judged_at"].endswith("Z")
    del line["judged_at"], line["id"]
    assert line == {
        "episode_uid": FIRST,
        "rater": "Zoë Müller",
        "verdict": "failure",
        "withdraws": None,
        "note": "dropped",
        "success_frame": None,
        "answers": None,
        "criteria_version": "",
        "is_standing": True,
    }


def test_judging_moves_the_queue_and_the_progress(form, add_episodes):
    before = form.get("/api/progress", rater="Anna")
    assert (before["episodes"], before["unjudged"], before["yours"]) == (6, 6, 0)
    assert before["yours_per_hour"] is None
    form.judge(FIRST, "success")
    form.judge(SECOND, "discard", "Ben")
    after = form.get("/api/progress", rater="Anna")
    assert (after["unjudged"], after["disputed"], after["yours"]) == (4, 0, 1)
    assert after["revision"] == before["revision"] + 2
    assert form.queue()[0] == "rollout-01-00000002"
    form.judge(FIRST, "failure", "Ben")
    assert form.get("/api/progress")["disputed"] == 1
    add_episodes(form.project, [6])
    form.look()
    assert form.get("/api/progress")["revision"] == before["revision"] + 4


def test_what_was_said_of_another_project_is_refused(form, tmp_path, make_project, open_project):
    other = open_project(make_project(tmp_path / "next" / "square", episodes=2))
    meant, served = (each.get("/api/progress")["project_id"] for each in (form, other))
    assert meant != served
    line = other.judge(FIRST, "success", project_id=served)
    for address, said in (
        (f"/api/episodes/{FIRST}/verdicts", SUCCESS),
        (f"/api/verdicts/{line['id']}/withdrawal", {"rater": "Anna", "request_id": "request-2"}),
    ):
        answer = other.post(address, {**said, "project_id": meant}, 421)
        assert answer["detail"] == (
            "This was said of another project; 'square' is served here now. Nothing was saved."
        )
    assert [each.id for each in other.store.since(0)] == [line["id"]]


def test_a_request_that_is_sent_again_adds_nothing(form):
    first = form.judge(FIRST, "success", request_id="the-same-request")
    again = form.judge(FIRST, "success", request_id="the-same-request", status=200)
    assert first == again
    gone = form.withdraw(first["id"], request_id="another-request")
    assert form.withdraw(first["id"], request_id="another-request", status=200) == gone
    assert (gone["verdict"], gone["withdraws"], gone["is_standing"]) == (None, first["id"], False)
    assert len(form.store.since()) == 2


def test_undo_shows_the_episode_again(form):
    line = form.judge(FIRST, "success")
    form.withdraw(line["id"])
    assert form.queue()[0] == FIRST
    told = form.get(f"/api/episodes/{FIRST}", rater="Anna")
    assert (told["outcome"], told["yours"], len(told["history"])) == (None, None, 2)


@pytest.mark.parametrize("path", ["/api/episodes/{}", "/api/episodes/{}?rater=Anna"])
def test_an_episode_that_is_not_there_is_said_to_be_not_there(unmoved, path):
    assert unmoved.get(path.format(NOWHERE), 404) == {"detail": GONE}
    assert unmoved.judge(NOWHERE, "success", status=404) == {"detail": GONE}
    look = unmoved.post(f"/api/episodes/{NOWHERE}/look", {"rater": "Anna"}, 404)
    assert look == {"detail": GONE}


def test_an_episode_that_was_removed_or_damaged_is_no_crash(form):
    (form.project.episodes / FIRST / timeline.TABLE_PATH).write_bytes(b"")
    assert form.get(f"/api/episodes/{FIRST}", 404) == {
        "detail": f"Attempt '{FIRST}' cannot be shown: its table of frames is missing or damaged."
    }
    form.judge(SECOND, "success")
    shutil.rmtree(form.project.episodes / SECOND)
    assert form.get(f"/api/episodes/{SECOND}", 404)["detail"].startswith("Attempt")
    form.look()
    assert form.get(f"/api/episodes/{SECOND}", 404)["detail"].startswith("There is no attempt")
    assert form.get("/api/progress")["episodes"] == 5
    assert SECOND not in form.queue(show="any")
    (form.project.episodes / "half").mkdir()
    form.look()
    assert form.get("/api/progress")["damaged"] == ["half"]


def test_a_verdict_that_comes_before_the_episode_was_read_is_taken(project, talk_to):
    store = OutcomeStore(project.outcomes)
    app = create_app(project, store, rule=DecisionRule())
    app.state.desk.close()
    with talk_to(app) as client:
        answer = client.post(f"/api/episodes/{FIRST}/verdicts", json=SUCCESS)
    assert answer.status_code == 201
    store.close()


def test_only_ones_own_verdict_can_be_taken_back_and_once(form):
    line = form.judge(FIRST, "success")["id"]
    assert form.withdraw(line, "Ben", 403)["detail"].startswith("Verdict 1 is Anna's, not Ben's.")
    form.withdraw(line)
    assert form.withdraw(line, status=409) == {"detail": "Verdict 1 was taken back already."}
    assert form.withdraw(7, status=404) == {"detail": "There is no verdict 7 to take back."}
    form.withdraw(2**53 - 1, status=404)
    form.withdraw(2**53, status=422)
    form.withdraw(0, status=422)


def test_the_checklist_decides(project, open_project):
    form = open_project(project, criteria=CRITERIA)
    both = {"answers": {"grasped": True, "placed": True}, "criteria_version": CRITERIA.version}
    line = form.judge(FIRST, "success", **both)
    assert (line["answers"], line["criteria_version"]) == (both["answers"], CRITERIA.version)
    assert form.judge(SECOND, "failure", status=422, **both) == {
        "detail": "The verdict is failure, but with 2 of 2 criteria met it is a success: "
        "a success needs 2."
    }
    stale = both | {"criteria_version": "0000"}
    assert form.judge(SECOND, "success", status=409, **stale) == {
        "detail": "The checklist is another one since this form was opened. Reload the page and "
        "judge the attempt again."
    }
    form.judge(SECOND, "failure", status=422, criteria_version=CRITERIA.version)
    form.judge(SECOND, "discard")


def test_a_moment_of_success_is_a_frame_of_a_success(form):
    assert form.judge(FIRST, "success", success_frame=24, status=422) == {
        "detail": "The moment of success must be a frame of the episode, 0 to 23, got 24."
    }
    form.judge(FIRST, "failure", success_frame=3, status=422)
    form.judge(FIRST, "success", success_frame=23)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rater": ""},
        {"rater": " Anna"},
        {"rater": "x" * 61},
        {"rater": "Anna<script>"},
        {"rater": "simulator"},
        {"rater": "Simulator"},
        {"rater": "\uff33imulator"},  # a wide S
        {"verdict": "maybe"},
        {"verdict": None},
        {"note": "x" * (MOST_NOTE_CHARACTERS + 1)},
        {"note": "zero \0"},
        {"note": 3},
        {"success_frame": -1},
        {"success_frame": 1.5},
        {"request_id": "short"},
        {"request_id": "with spaces"},
        {"answers": {"grasped": "perhaps"}},
        {"unknown": 1},
    ],
)
def test_what_does_not_fit_the_schema_is_refused(unmoved, wrong):
    refused = unmoved.post(f"/api/episodes/{FIRST}/verdicts", SUCCESS | wrong, 422)
    assert list(refused) == ["detail"]
    assert isinstance(refused["detail"], str)


def test_the_simulator_is_no_person(unmoved):
    detail = unmoved.judge(FIRST, "success", "SIMULATOR", status=422)["detail"]
    assert detail == "rater: 'simulator' is no person's name; type your own."
    unmoved.get("/api/queue", 422, rater="simulator")


def test_a_name_is_one_name_however_its_accent_is_typed(form):
    form.judge(FIRST, "success", "Zoe\u0308")
    form.judge(SECOND, "success", "Zo\u00eb")
    assert form.get("/api/progress", rater="Zoe\u0308")["yours"] == 2


NOTES = (
    "'); DROP TABLE judgements; --",
    "<script>alert(1)</script>",
    "=1+1",
    "ü\n\u202e",
    "x" * MOST_NOTE_CHARACTERS,
)


def test_a_note_is_kept_as_it_is(form):
    for note in NOTES:
        assert form.judge(FIRST, "success", note=note)["note"] == note
    answer = form.client.get(f"/api/episodes/{FIRST}")
    assert [line["note"] for line in answer.json()["history"]] == list(NOTES)
    assert answer.headers["content-type"] == "application/json"
    assert [line.note for line in form.store.since()] == list(NOTES)


def test_every_line_can_be_downloaded(form):
    line = form.judge(FIRST, "success", note="fine")
    form.withdraw(line["id"])
    answer = form.client.get("/api/verdicts.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="verdicts.csv"'
    assert answer.headers["content-type"].startswith("text/csv")
    assert [row["note"] for row in csv.DictReader(io.StringIO(answer.text))] == ["fine", ""]
    parquet = form.client.get("/api/verdicts.parquet")
    assert pq.read_table(io.BytesIO(parquet.content)).num_rows == 2


def test_eight_people_judge_while_episodes_are_added(form, add_episodes):
    uids = form.queue()
    acknowledged, wrong = [], []

    def person(number):
        with form.another_client() as client:
            for episode, verdict in itertools.product(range(5), ("success", "failure")):
                content = {
                    "rater": f"p{number}",
                    "verdict": verdict,
                    "request_id": f"{verdict}-{number}-{episode}",
                }
                path = f"/api/episodes/{uids[episode]}/verdicts"
                answer = client.post(path, json=content)
                queue = client.get(f"/api/queue?rater=p{number}&show=any")
                detail = client.get(f"/api/episodes/{uids[episode]}?rater=p{number}")
                wrong.extend(
                    seen.text
                    for seen in (answer, queue, detail)
                    if seen.status_code not in {200, 201}
                )
                acknowledged.append(answer.json()["id"])
                if detail.json()["yours"] != verdict:
                    wrong.append(detail.text)

    threads = [threading.Thread(target=person, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    added = [uid for number in range(6, 9) for uid in add_episodes(form.project, [number])]
    for thread in threads:
        thread.join()
    form.look()
    assert wrong == []
    assert sorted(acknowledged) == [line.id for line in form.store.since()] == [*range(1, 81)]
    assert set(form.queue(show="any")) == {*uids, *added}

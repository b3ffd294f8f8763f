"""What the form reads from the API, asked as a browser asks it."""

import pytest

from data.criteria import Criteria
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.verdicts import NAME_RULE, DecisionRule, Rule
from recap.judgements import project_id

FIRST, SECOND = "rollout-01-00000000", "rollout-01-00000001"
NEITHER = "rollout-01-00000002"
NOWHERE = "rollout-01-99999999"
CRITERIA = Criteria(questions={"grasped": "Was it grasped?", "placed": "Was it placed?"}, needed=2)


def test_the_project_is_described(unmoved):
    assert unmoved.get("/api/project") == {
        "id": project_id(unmoved.project),
        "name": "square",
        "fps": 20,
        "cameras": [
            {"name": "front", "height": 64, "width": 96},
            {"name": "wrist", "height": 64, "width": 64},
        ],
        "tasks": ["put the blue cube on the white pad", "put the red cube on the green pad"],
        "iterations": [1],
        "criteria": None,
        "rule": "latest",
        "raters_needed": 1,
    }


def test_a_checklist_and_a_rule_are_described(project, open_project):
    rule = DecisionRule(rule=Rule.UNANIMOUS, raters_needed=2)
    described = open_project(project, rule=rule, criteria=CRITERIA).get("/api/project")
    assert described["criteria"] == {
        "version": CRITERIA.version,
        "needed": 2,
        "items": [
            {"name": "grasped", "question": "Was it grasped?"},
            {"name": "placed", "question": "Was it placed?"},
        ],
    }
    assert (described["rule"], described["raters_needed"]) == ("unanimous", 2)


def test_a_project_without_an_episode_is_empty_and_no_error(tmp_path, make_project, open_project):
    form = open_project(make_project(tmp_path / "empty"))
    assert form.get("/api/queue") == {"episodes": [], "total": 0}
    assert form.get("/api/project")["tasks"] == []
    assert form.get("/api/progress")["episodes"] == 0
    assert form.get("/api/agreement")["kind"] == ""


def test_a_card_says_what_the_queue_shows(form):
    form.store.judge(FIRST, Outcome.FAILURE, rater="Ben")
    form.judge(FIRST, "success")
    form.post(f"/api/episodes/{FIRST}/look", {"rater": "Cleo"}, 204)
    [card] = form.get("/api/queue", rater="Anna", show="disputed")["episodes"]
    assert card == {
        "uid": FIRST,
        "task": "put the red cube on the green pad",
        "iteration": 1,
        "source": "rollout",
        "ending": "terminated",
        "frames": 24,
        "corrected_frames": 0,
        "measured_success": None,
        "outcome": "success",
        "is_disputed": True,
        "raters": ["Anna", "Ben"],
        "yours": "success",
        "looked_at_by": ["Cleo"],
    }


def test_the_queue_goes_on_behind_an_episode(form):
    assert form.queue(limit=2) == [FIRST, SECOND]
    assert form.queue(limit=2, after=SECOND) == ["rollout-01-00000002", "rollout-01-00000003"]
    assert form.queue(after="rollout-01-00000005") == []
    assert form.queue(limit=1, after=NOWHERE) == [FIRST]
    assert form.get("/api/queue", limit=2)["total"] == 6


def test_the_queue_is_filtered(tmp_path, make_project, add_episodes, open_project):
    project = make_project(tmp_path / "mixed")
    [demonstration] = add_episodes(project, [0], iteration=0)
    [rollout] = add_episodes(project, [1], iteration=1)
    [corrected] = add_episodes(project, [2], iteration=2, corrected=3)
    form = open_project(project)
    assert form.queue() == [corrected, rollout, demonstration]
    assert form.queue(iteration=0) == [demonstration]
    assert form.queue(corrected="true") == [corrected]
    assert form.queue(corrected="false") == [rollout, demonstration]
    assert form.queue(pilot="teleoperator") == [corrected]
    assert form.queue(pilot="expert") == [demonstration]
    assert form.queue(pilot="policy", corrected="false") == [rollout]
    assert form.queue(task="put the blue cube on the white pad") == [rollout]
    assert form.queue(task="' OR 1=1 --") == []
    form.judge(rollout, "discard")
    assert form.queue() == [corrected, demonstration]
    assert form.queue(show="discard") == [rollout]
    assert form.queue(show="success") == []
    assert form.queue(show="any") == [corrected, rollout, demonstration]


def test_what_somebody_else_looks_at_comes_last_but_does_not_move_under_your_hands(form):
    form.post(f"/api/episodes/{FIRST}/look", {"rater": "Ben"}, 204)
    assert form.queue(rater="Anna")[0] == SECOND
    assert form.queue(rater="Anna")[-1] == FIRST
    assert form.queue(rater="Ben")[0] == FIRST
    form.post(f"/api/episodes/{FIRST}/look", {"rater": "Anna"}, 204)
    assert form.queue(rater="Anna")[0] == FIRST
    assert form.queue(rater="Anna", after=FIRST)[0] == SECOND


def test_one_episode_is_told_in_full(tmp_path, make_project, add_episodes, open_project):
    project = make_project(tmp_path / "corrected")
    [uid] = add_episodes(project, [0], corrected=4)
    form = open_project(project)
    line = form.judge(uid, "success", success_frame=20, note="nice")
    told = form.get(f"/api/episodes/{uid}", rater="Anna")
    assert told["segments"] == [
        {"start": 0, "stop": 20, "pilot": "policy", "is_correction": False},
        {"start": 20, "stop": 24, "pilot": "teleoperator", "is_correction": True},
    ]
    assert (told["fps"], told["marks"], told["success_frame"]) == (20, None, 20)
    assert (told["yours"], told["outcome"]) == ("success", "success")
    assert told["history"] == [line]
    assert list(told["videos"]) == ["front", "wrist"]
    for address in told["videos"].values():
        assert form.client.get(address).headers["content-type"] == "video/mp4"


def test_a_pace_needs_two_verdicts(form):
    form.judge(FIRST, "success")
    form.judge(SECOND, "success")
    assert form.get("/api/progress", rater="Anna")["yours_per_hour"] > 0
    assert form.get("/api/progress", rater="Ben")["yours_per_hour"] is None


def test_the_newest_standing_verdict_of_a_person_is_told(form):
    assert form.get("/api/newest", rater="Anna") is None
    first, second = form.judge(FIRST, "success"), form.judge(SECOND, "failure")
    form.judge(NEITHER, "discard", "Ben")
    assert form.get("/api/newest", rater="Anna") == second
    assert form.get("/api/newest", rater="Anna", before=second["id"]) == first
    assert form.get("/api/newest", rater="Anna", before=first["id"]) is None
    form.withdraw(second["id"])
    assert form.get("/api/newest", rater="Anna") == first
    changed = form.judge(FIRST, "failure")
    assert form.get("/api/newest", rater="Anna") == changed
    assert list(form.get("/api/newest", 422)) == ["detail"]


def test_what_one_person_has_not_judged_is_listed_whoever_decided_it(form):
    form.judge(FIRST, "success", "Ben")
    form.judge(SECOND, "failure", "Anna")
    uids = sorted(path.name for path in form.project.episodes.glob("rollout-*"))
    assert form.queue(show="not-yours", rater="Anna") == [uid for uid in uids if uid != SECOND]
    assert form.queue(show="not-yours", rater="Ben") == [uid for uid in uids if uid != FIRST]
    assert form.queue(show="not-yours") == uids


def test_who_decided_is_told_of_what_the_simulator_alone_measured(form):
    for uid in (FIRST, SECOND, NEITHER):
        form.store.judge(uid, Outcome.FAILURE, rater="simulator")
    form.desk.judging._catch_up()
    form.judge(SECOND, "success")
    told = form.get("/api/progress")
    assert (told["unjudged"], told["decided_by_simulator"]) == (3, 2)


def test_the_settings_change_with_the_rule_and_the_checklist_and_with_nothing_else(
    form, project, open_project
):
    def settings(**about):
        return open_project(project, **about).get("/api/progress")["settings"]

    plain = form.get("/api/progress")["settings"]
    form.judge(FIRST, "success")
    assert form.get("/api/progress")["settings"] == plain == settings(rule=DecisionRule())
    needs_one = Criteria(questions=CRITERIA.questions, needed=1)
    others = {
        settings(rule=DecisionRule(rule=Rule.MAJORITY)),
        settings(rule=DecisionRule(raters_needed=2)),
        settings(criteria=CRITERIA),
        settings(criteria=needs_one),
    }
    assert len(others | {plain}) == 5


def test_a_name_that_cannot_be_is_refused_in_words(unmoved):
    for name in ("Anna\u00b2", "_Anna", "Anna ", "x" * 61, "-"):
        told = unmoved.get("/api/progress", 422, rater=name)
        assert told == {"detail": f"rater: {NAME_RULE}."}
    told = unmoved.get("/api/progress", 422, rater="\uff53\uff49mulator")
    assert told == {"detail": "rater: 'simulator' is no person's name; type your own."}


def test_a_project_whose_cameras_are_unknown_says_so(form, project, open_project):
    project.layout.write_text("{}")
    told = open_project(project).get(f"/api/episodes/{FIRST}", 404)
    assert told == {"detail": "The description of the cameras, layout.json, is missing or damaged."}


def test_what_another_process_does_shows_without_a_reload(form, add_episodes):
    add_episodes(form.project, [6])
    elsewhere = OutcomeStore(form.project.outcomes)
    elsewhere.judge(FIRST, Outcome.FAILURE, rater="robot")
    elsewhere.close()
    form.look()
    form.desk.judging._asked_at_s = float("-inf")
    assert form.queue(show="failure") == [FIRST]
    assert form.queue()[-1] == "rollout-01-00000006"


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 101},
        {"show": "x"},
        {"pilot": "nobody"},
        {"after": "../etc"},
        {"iteration": -1},
        {"corrected": "x"},
    ],
)
def test_a_queue_that_cannot_be_is_refused(unmoved, query):
    assert list(unmoved.get("/api/queue", 422, **query)) == ["detail"]


def test_two_people_and_their_agreement(form):
    uids = form.queue()
    for uid, anna, ben in zip(uids[:4], "ssff", "ssfs", strict=True):
        form.judge(uid, {"s": "success", "f": "failure"}[anna], "Anna")
        form.judge(uid, {"s": "success", "f": "failure"}[ben], "Ben")
    form.judge(uids[4], "discard", "Ben")
    form.store.judge(uids[5], Outcome.FAILURE, rater="simulator")
    form.desk.judging._catch_up()
    told = form.get("/api/agreement")
    # Agreed: 3 of 4. By chance: 2/4 * 3/4 + 2/4 * 1/4 = 1/2. Kappa: (3/4 - 1/2) / (1 - 1/2).
    assert (told["kind"], told["kappa"], told["episodes"]) == ("Cohen's kappa", 0.5, 4)
    assert told["low"] <= 0.5 <= told["high"]
    assert told["disputed"] == [uids[3]]
    assert told["raters"] == [
        {"rater": "Anna", "episodes": 4, "successes": 2, "failures": 2, "discards": 0},
        {"rater": "Ben", "episodes": 5, "successes": 3, "failures": 1, "discards": 1},
    ]
    form.judge(uids[3], "success", "Anna")
    assert form.get("/api/agreement")["disputed"] == []


def test_the_schema_declares_what_each_address_answers(unmoved):
    paths = unmoved.get("/openapi.json")["paths"]
    declared = {
        (method.upper(), path): {int(code) for code in about["responses"] if code.isdigit()}
        for path, methods in paths.items()
        for method, about in methods.items()
        if path.startswith("/api/") and path != "/api/dashboard"
    }
    always = {401, 403, 503}
    body = {408, 413, 415, 422}
    assert declared == {
        ("GET", "/api/project"): {200} | always,
        ("GET", "/api/queue"): {200, 422} | always,
        ("GET", "/api/episodes/{uid}"): {200, 404, 422} | always,
        ("GET", "/api/progress"): {200, 422} | always,
        ("GET", "/api/newest"): {200, 422} | always,
        ("GET", "/api/agreement"): {200} | always,
        ("GET", "/api/verdicts.csv"): {200} | always,
        ("GET", "/api/verdicts.parquet"): {200} | always,
        ("POST", "/api/episodes/{uid}/verdicts"): {200, 201, 404, 409, 421} | always | body,
        ("POST", "/api/verdicts/{id}/withdrawal"): {200, 201, 404, 409, 421} | always | body,
        ("POST", "/api/episodes/{uid}/look"): {204, 404} | always | body,
    }
    verdict = paths["/api/episodes/{uid}/verdicts"]["post"]["responses"]
    for status, model in (("200", "JudgementOut"), ("201", "JudgementOut"), ("422", "Problem")):
        schema = verdict[status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{model}"}

"""The OpenAPI schema is true: schemathesis asks what it allows, and what it forbids."""

from collections import Counter

import pytest

from data.criteria import Criteria
from data.outcomes import OutcomeStore
from data.verdicts import DecisionRule
from recap.web.app import create_app

UID = "rollout-01-00000000"
CRITERIA = Criteria(questions={"grasped": "Was it grasped?", "placed": "Was it placed?"}, needed=2)
ADDRESSES = {
    *("/api/project", "/api/queue", "/api/episodes/{uid}", "/api/progress", "/api/agreement"),
    "/api/newest",
    *("/api/episodes/{uid}/verdicts", "/api/verdicts/{id}/withdrawal", "/api/episodes/{uid}/look"),
    *("/api/dashboard", "/api/verdicts.csv", "/api/verdicts.parquet", "/videos/{uid}/{camera}.mp4"),
}
TOKEN = "a-token-of-many-characters"  # noqa: S105 - opens only what a test has made
OWN_NAME = {"Host": "localhost"}
SETTINGS = {
    "headers": OWN_NAME,
    "continue-on-failure": True,
    "generation": {"max-examples": 20, "deterministic": True, "database": "none"},
    "operations": [
        {
            # Whether a verdict fits also depends on the episode's length, on the checklist and on
            # the project that is served, which no schema can say.
            "include-name": "POST /api/episodes/{uid}/verdicts",
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ["2xx", 403, 404, 409, 421, 422]}
            },
        },
        {
            "include-name": "POST /api/verdicts/{id}/withdrawal",
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ["2xx", 403, 404, 409, 421]}
            },
        },
    ],
}


@pytest.fixture(params=[""])
def app(request, tmp_path, make_project, monkeypatch):
    monkeypatch.chdir(tmp_path)  # schemathesis leaves files where it runs
    project = make_project(tmp_path / "square", episodes=3)
    store = OutcomeStore(project.outcomes)
    store.judge(UID, "success", rater="Anna")
    made = create_app(project, store, rule=DecisionRule(), criteria=CRITERIA, token=request.param)
    made.state.desk.catalogue.refresh()
    yield made
    made.state.desk.close()
    store.close()


def answers_to(app, **settings):
    """Let schemathesis ask; return the failures in words, and how often what was answered."""
    # Slow to import, and needed by the slow tests alone.
    import schemathesis
    from schemathesis.engine import StopReason, events, from_schema

    settings = {**SETTINGS, **settings}
    config = schemathesis.Config.from_dict(settings)
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", app, config=config, headers=settings["headers"]
    )
    failures, answers, reason = [], Counter(), None
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            failures.append(str(event))
        elif isinstance(event, events.ScenarioFinished):
            for case_id, checks in event.recorder.checks.items():
                label = event.recorder.cases[case_id].value.operation.label
                response = event.recorder.interactions[case_id].response
                answers[label, response.status_code] += 1
                failures += [
                    f"{label}: {check.name}: {check.failure_info.failure.message}\n"
                    f"{check.failure_info.code_sample}"
                    for check in checks
                    if check.failure_info
                ]
        elif isinstance(event, events.EngineFinished):
            reason = event.stop_reason
    assert reason is StopReason.COMPLETED
    return failures, answers


def test_every_address_for_machines_is_in_the_schema(app):
    assert set(app.openapi()["paths"]) == ADDRESSES


def test_every_refusal_in_the_schema_is_one_sentence(app):
    told = [
        (answer["content"]["application/json"]["schema"]["$ref"], status)
        for methods in app.openapi()["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if status >= "400"
    ]
    assert len(told) > 3 * len(ADDRESSES)
    assert {reference for reference, _ in told} == {"#/components/schemas/Problem"}
    assert "HTTPValidationError" not in app.openapi()["components"]["schemas"]


@pytest.mark.slow
def test_every_answer_is_one_that_the_schema_tells(app):
    failures, answers = answers_to(app)
    assert failures == []
    assert {label.split()[1] for label, _ in answers} == ADDRESSES
    judging = "POST /api/episodes/{uid}/verdicts"
    assert {status for label, status in answers if label == judging} >= {201, 404, 409, 415, 422}


@pytest.mark.slow
def test_what_is_told_of_an_episode_is_what_the_schema_tells(app):
    failures, answers = answers_to(
        app,
        parameters={"path.uid": UID, "path.camera": "front"},
        phases={"stateful": {"enabled": False}},
    )
    assert failures == []
    assert answers["GET /api/episodes/{uid}", 200] > 0
    assert answers["GET /videos/{uid}/{camera}.mp4", 200] > 0


@pytest.mark.slow
@pytest.mark.parametrize("app", [TOKEN], indirect=True)
def test_the_schema_tells_that_a_token_is_needed(app):
    failures, answers = answers_to(
        app,
        headers={**OWN_NAME, "Authorization": f"Bearer {TOKEN}"},
        phases={"stateful": {"enabled": False}, "fuzzing": {"enabled": False}},
    )
    assert failures == []
    assert answers["GET /api/project", 401] > 0
    assert answers["GET /api/project", 200] > 0

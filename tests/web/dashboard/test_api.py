"""The numbers over HTTP."""

import asyncio

import httpx

from data.outcomes import OutcomeStore
from data.verdicts import DecisionRule
from recap.web.app import create_app


def test_the_answer_over_http_is_what_the_schema_says_and_names_no_folder(
    project, tmp_path, evaluate, measure
):
    evaluate(project, 1)
    project.evaluation(1).write_text("{")
    measure(project, 1)
    store = OutcomeStore(project.outcomes)
    app = create_app(project, store, rule=DecisionRule())
    app.state.desk.catalogue.refresh()

    async def ask():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/api/dashboard"), await client.get("/openapi.json")

    answer, schema = asyncio.run(ask())
    app.state.desk.close()
    store.close()
    assert answer.status_code == 200
    assert answer.json()["episodes"] == 6
    assert answer.json()["problems"]
    assert str(tmp_path) not in answer.text
    wanted = schema.json()["paths"]["/api/dashboard"]["get"]["responses"]["200"]["content"]
    assert wanted["application/json"]["schema"]["$ref"].endswith("/DashboardOut")

import asyncio
import re

import pytest

from data.outcomes import OutcomeStore
from data.verdicts import DecisionRule
from recap.web.app import create_app

TOKEN = "a-token-of-many-characters"  # noqa: S105 - opens only what a test has made


@pytest.fixture(scope="module")
def project(tmp_path_factory, make_project):
    return make_project(tmp_path_factory.mktemp("served") / "square", episodes=2)


@pytest.fixture
def store(tmp_path):
    made = OutcomeStore(tmp_path / "outcomes.db")
    yield made
    made.close()


@pytest.fixture
def locked(project, store, talk_to):
    app = create_app(project, store, rule=DecisionRule(), token=TOKEN)
    with talk_to(app, base_url="http://tablet.example:8420") as client:
        yield client
    app.state.desk.close()


@pytest.fixture
def app(project, store):
    made = create_app(project, store, rule=DecisionRule())
    yield made
    made.state.desk.close()


@pytest.fixture
def opened(app, talk_to):
    with talk_to(app, base_url="http://localhost:8420") as client:
        yield client


def test_the_link_gives_a_browser_a_cookie_and_takes_the_token_out_of_the_address(locked):
    answer = locked.get(f"/label/rollout-01-00000001?show=any&token={TOKEN}&task=a%26b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/label/rollout-01-00000001?show=any&task=a%26b"
    assert answer.headers["cache-control"] == "no-store"
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        r"recap-[0-9a-f]{8}=[0-9a-f]{56}; HttpOnly; Max-Age=2592000; Path=/; SameSite=strict",
        cookie,
    )
    assert TOKEN not in cookie
    assert locked.get("/api/project").status_code == 200  # the client keeps cookies


def test_the_cookie_of_one_token_opens_nothing_under_another(locked, project, store, talk_to):
    locked.get(f"/label?token={TOKEN}")
    app = create_app(project, store, rule=DecisionRule(), token=TOKEN[::-1])
    with talk_to(app, base_url="http://tablet.example:8421", cookies=locked.cookies) as other:
        assert other.get("/api/project").status_code == 401
    app.state.desk.close()


def test_a_link_followed_from_another_site_goes_on_from_a_page_of_our_own(locked):
    # A browser keeps a strict cookie from a redirection that began at another site.
    answer = locked.get(f'/label?token={TOKEN}&task="><x', headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert 'content="0;url=/label?task=%22%3E%3Cx"' in answer.text
    assert "set-cookie" in answer.headers
    assert TOKEN not in answer.text


def test_a_token_in_the_header_opens_without_a_cookie(locked):
    for kind in ("Bearer", "bearer"):
        answer = locked.get("/api/project", headers={"Authorization": f"{kind} {TOKEN}"})
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers


def test_an_old_link_still_opens_for_whoever_has_the_cookie(locked):
    locked.get(f"/label?token={TOKEN}")
    answer = locked.get("/label?token=of-yesterday")
    assert (answer.status_code, answer.headers["location"]) == (303, "/label")


def test_a_token_in_the_address_judges_nothing(locked, store):
    body = {"rater": "Anna", "verdict": "success", "request_id": "request-1"}
    answer = locked.post(f"/api/episodes/rollout-01-00000001/verdicts?token={TOKEN}", json=body)
    assert answer.status_code == 401
    assert store.since(0) == []


def test_who_has_no_token_is_told_where_it_is(locked):
    words = "This form needs its token. Open the link that `recap label` printed, as it is."
    answer = locked.get("/api/project")
    assert (answer.status_code, answer.json()) == (401, {"detail": words})
    assert answer.headers["www-authenticate"] == "Bearer"
    page = locked.get("/label", headers={"Accept": "text/html,*/*"})
    assert page.status_code == 401
    assert f"<h1>This form needs its link</h1><p>{words}</p>" in page.text
    assert "has a new link: open it in this browser" in page.text
    assert "Try again" not in page.text
    assert "<a " not in page.text
    assert page.headers["www-authenticate"] == "Bearer"


def test_with_a_token_any_name_of_the_machine_will_do(locked):
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "robot-7.local"}
    assert locked.get("/api/project", headers=headers).status_code == 200


def test_our_own_page_may_judge(opened, store):
    body = {"rater": "Anna", "verdict": "success", "request_id": "request-1"}
    address = "/api/episodes/rollout-01-00000001/verdicts"
    for number, headers in enumerate(
        [
            {"Origin": "http://localhost:8420", "Sec-Fetch-Site": "same-origin"},
            {"Origin": "https://localhost:8420"},  # behind a proxy that encrypts
            {"Sec-Fetch-Site": "none"},
            {"Content-Type": "application/json; charset=utf-8"},
            {},
        ]
    ):
        body["request_id"] = f"request-{number}"
        assert opened.post(address, json=body, headers=headers).status_code == 201
    assert len(store.since(0)) == 5


def test_a_page_of_another_site_is_told_so(opened):
    headers = {"Origin": "http://evil.example"}
    answer = opened.post("/api/episodes/x/look", json={"rater": "Anna"}, headers=headers)
    words = "A page of another site asked for this, which is not allowed."
    assert (answer.status_code, answer.json()) == (403, {"detail": words})


def test_a_foreign_name_is_told_what_to_open(opened):
    answer = opened.get("/api/project", headers={"Host": "evil.example"})
    words = "This form answers only to localhost. Open the link that `recap label` printed."
    assert (answer.status_code, answer.json()) == (403, {"detail": words})


def test_every_kind_of_answer_has_the_headers_of_safety(opened):
    for target in ("/api/project", "/nowhere", "/static/palette.css", "/favicon.ico"):
        headers = opened.get(target).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in headers["content-security-policy"]
    assert opened.get("/api/project").headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control")]


def test_nothing_but_reading_and_posting_is_described(app):
    methods = {method for paths in app.openapi()["paths"].values() for method in paths}
    assert methods == {"get", "post"}


def test_a_websocket_is_closed(app):
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(app({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_two_hosts_are_one_too_many_whoever_serves(opened):
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    assert opened.get("/api/project", headers=headers).status_code == 403


@pytest.mark.parametrize("length", ["", "-1", "+1", "1_0", "²", "9" * 5000])
def test_a_length_that_is_none_is_too_long_whoever_serves(opened, length):
    headers = [(b"Content-Type", b"application/json"), (b"Content-Length", length.encode())]
    answer = opened.post("/api/episodes/x/look", headers=headers, content=b"{}")
    assert answer.status_code == 413

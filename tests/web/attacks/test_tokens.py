"""The token: missing, wrong, in the wrong place, or about to leak."""

import pytest

UID = "rollout-01-00000000"
VERDICT = {"rater": "Anna", "verdict": "success", "request_id": "attack-0001"}
JSON = "Content-Type: application/json"
TOKEN = "a-token-of-many-characters"  # noqa: S105 - opens only what a test has made


@pytest.mark.parametrize(
    "value",
    [None, "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer ",
     TOKEN, "Bearer \xe9\xff", f"Bearer x, Bearer {TOKEN}", f"Token {TOKEN}"],
)  # fmt: skip
def test_no_token_or_a_wrong_one_opens_nothing(locked, require_harmless, value):
    headers = [] if value is None else [f"Authorization: {value}"]
    for target in ("/", "/label", "/api/queue", "/openapi.json", "/static/palette.css", "/nowhere",
                   f"/videos/{UID}/front.mp4", "/reports/1", "/api/verdicts.csv"):  # fmt: skip
        require_harmless(locked.ask("GET", target, *headers), status=401)
    require_harmless(locked.judge(VERDICT, JSON, *headers), status=401)
    assert locked.lines() == []


@pytest.mark.parametrize("shown", ["", "wrong", TOKEN.upper(), f"{TOKEN}%00", f"%00{TOKEN}", "%ff"])
def test_a_wrong_token_in_the_link_sets_no_cookie(locked, require_harmless, shown):
    status, headers, body = locked.ask("GET", f"/label?token={shown}")
    require_harmless((status, headers, body), status=401)
    assert "set-cookie" not in headers
    assert shown == "" or shown not in body.decode()


def test_a_wrong_cookie_opens_nothing(locked, require_harmless):
    _, headers, _ = locked.ask("GET", f"/label?token={TOKEN}")
    name = headers["set-cookie"].split("=")[0]
    for cookie in (f"{name}=wrong", f"{name}={TOKEN}", f"token={TOKEN}", f"{name}", "=;=;;", '"'):
        require_harmless(locked.ask("GET", "/label", f"Cookie: {cookie}"), status=401)


@pytest.mark.parametrize(
    "target",
    ["//evil.example/", "///evil.example", "/\\evil.example", "/%5cevil.example",
     "/%2fevil.example",
     "/%0d%0aSet-Cookie:%20a=b", "/%00", "/%E2%80%A8", "/%ff"],
)  # fmt: skip
def test_the_link_sends_a_browser_nowhere_else_and_adds_no_header(locked, require_harmless, target):
    status, headers, body = locked.ask("GET", f"{target}?token={TOKEN}&x=%0d%0aX-Evil:%201")
    assert status == 303
    assert headers["location"].startswith("/")
    assert headers["location"][1:2] not in {"/", "\\"}
    assert "x-evil" not in headers
    assert headers["set-cookie"].count("=b") == 0
    require_harmless((status, headers, body))


def test_the_token_is_in_no_answer(locked):
    status, headers, body = locked.ask("GET", f"/label?token={TOKEN}&show=any")
    assert status == 303
    assert headers["location"] == "/label?show=any"
    assert TOKEN not in str(headers) + body.decode()
    status, headers, body = locked.ask(
        "GET", f"/nowhere?token={TOKEN}", "Sec-Fetch-Site: cross-site"
    )
    assert TOKEN not in str(headers) + body.decode()

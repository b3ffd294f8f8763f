"""Pages of other sites, and foreign names for this machine."""

import pytest

UID = "rollout-01-00000000"
VERDICT = {"rater": "Anna", "verdict": "success", "request_id": "attack-0001"}
JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8420",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost:80:80",
        "[::1].evil.example",
        "0.0.0.0",  # noqa: S104 - sent, not bound
        "10.0.0.7",
        " ",
        "localhost, evil.example",
    ],
)
def test_a_foreign_name_for_this_machine_is_turned_away(wire, require_harmless, host):
    for method, target in (
        ("GET", "/"),
        ("GET", "/api/queue"),
        ("GET", f"/videos/{UID}/front.mp4"),
    ):
        require_harmless(wire.ask(method, target, host=host), status=403)
    require_harmless(wire.judge(VERDICT, host=host), status=403)
    assert wire.lines() == []


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8420", "127.1.2.3", "[::1]:8"]
)
def test_this_machines_own_names_are_answered(wire, host):
    assert wire.ask("GET", "/api/project", host=host)[0] == 200


def test_a_request_without_or_with_two_hosts_is_turned_away(wire):
    assert wire.send(b"GET / HTTP/1.0\r\n\r\n")[0] == 403
    two = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert wire.send(two)[0] in {400, 403}


@pytest.mark.parametrize(
    "header",
    [
        "Origin: http://evil.example",
        "Origin: https://localhost.evil.example",
        "Origin: http://localhost:9",
        "Origin: null",
        "Origin: 127.0.0.1",
        "Origin:",
        "Origin: file://",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: whatever",
    ],
)
def test_a_page_of_another_site_judges_nothing(wire, require_harmless, header):
    require_harmless(wire.judge(VERDICT, JSON, header), status=403)
    assert wire.lines() == []


def test_a_page_of_another_site_cannot_hide_behind_a_second_origin(wire, require_harmless):
    own = f"Origin: http://127.0.0.1:{wire.port}"
    answer = wire.judge(VERDICT, JSON, own, "Origin: http://evil.example")
    require_harmless(answer, status=403)
    assert wire.lines() == []


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/jsonp",
        "application/json+x",
        "",
    ],
)
def test_a_form_of_another_site_judges_nothing(wire, require_harmless, kind):
    answer = wire.judge(VERDICT, f"Content-Type: {kind}")
    require_harmless(answer, status=415)
    require_harmless(wire.judge(VERDICT, "X-Nothing: 1"), status=415)
    assert wire.lines() == []

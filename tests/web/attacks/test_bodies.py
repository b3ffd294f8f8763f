"""Bodies that are too long, too slow, or not what they say."""

import json
import time

import pytest

UID = "rollout-01-00000000"
VERDICT = {"rater": "Anna", "verdict": "success", "request_id": "attack-0001"}
JSON = "Content-Type: application/json"


def post_head(wire, *headers):
    target = f"/api/episodes/{UID}/verdicts"
    lines = [f"POST {target} HTTP/1.1", f"Host: 127.0.0.1:{wire.port}", JSON, *headers, "", ""]
    return "\r\n".join(lines).encode()


def chunked(content, size=16 * 1024):
    for start in range(0, len(content), size):
        piece = content[start : start + size]
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    yield b"0\r\n\r\n"


LARGE = json.dumps({**VERDICT, "note": "x" * 70_000}).encode()


def test_a_large_body_is_refused_with_its_length_or_without(wire, require_harmless):
    require_harmless(wire.judge(LARGE), status=413)
    head = post_head(wire, "Transfer-Encoding: chunked")
    require_harmless(wire.send(head, pieces=chunked(LARGE)), status=413)
    assert wire.lines() == []


def test_a_body_that_claims_to_be_endless_is_refused_before_it_is_sent(wire, require_harmless):
    head = post_head(wire, "Content-Length: 99999999999999999999")
    require_harmless(wire.send(head), status=413)


def test_an_endless_body_is_cut_off(wire):
    head = post_head(wire, "Transfer-Encoding: chunked")
    with wire.connect() as connection:
        connection.sendall(head)
        sent = 0
        try:
            for _ in range(400):  # 25 MiB
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                sent += 65536
        except OSError:
            pass
        assert sent < 24 * 1024 * 1024
    assert wire.ask("GET", "/api/project")[0] == 200


def test_a_slow_body_is_given_up_while_others_are_served(
    open_wire, folder, make_project, monkeypatch, answer_on, require_harmless
):
    monkeypatch.setattr("recap.web.guard.bodies.BODY_PATIENCE_S", 0.4)
    made = open_wire(make_project(folder / "slow", episodes=1))
    try:
        with made.connect() as slow:
            slow.sendall(post_head(made, "Content-Length: 100") + b"{")
            begun = time.monotonic()
            assert made.ask("GET", "/api/project")[0] == 200
            assert time.monotonic() - begun < 0.3
            require_harmless(answer_on(slow), status=408)
    finally:
        made.close()


@pytest.mark.parametrize(
    "length",
    ["-1", "1, 2", "0x10", "1e3", "٣", "+5"],
    ids=["minus", "two", "hex", "e", "arab", "plus"],
)
def test_a_length_that_is_none_is_refused(wire, length):
    head = post_head(wire).removesuffix(b"\r\n") + f"Content-Length: {length}\r\n\r\n".encode()
    assert 400 <= wire.send(head)[0] < 500


def test_a_request_of_two_lengths_cannot_smuggle_another(wire):
    inner = b"GET /api/project HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = post_head(wire, "Content-Length: 4", "Transfer-Encoding: chunked")
    status, headers, _ = wire.send(head + b"0\r\n\r\n" + inner)
    assert 400 <= status < 500
    assert headers.get("connection") == "close"
    assert wire.lines() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"\xff\xfe{}",
        b"\x00",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"9" * 60_000,
        b"NaN",
        b"{}" * 100,
        '{"rater": "Anna"}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_malformed_json_is_a_mistake_of_the_sender(wire, require_harmless, body):
    require_harmless(wire.judge(body), status=(400, 422))
    assert wire.lines() == []


@pytest.mark.parametrize(
    "change",
    [
        '"success_frame": NaN',
        '"success_frame": Infinity',
        '"success_frame": 1e400',
        f'"success_frame": {"9" * 4000}',
        f'"success_frame": {"9" * 6000}',
        '"success_frame": -1',
        '"success_frame": 0.5',
        '"success_frame": true',
        '"note": "\\ud800"',
        '"note": 7',
        '"note": null',
        '"answers": {"a": "maybe"}',
        '"answers": {"\\ud800": true}',
        '"answers": [true]',
        '"verdict": "SUCCESS"',
        '"verdict": "<script>"',
        '"rater": "simulator"',
        '"rater": " Simulator "',
        '"rater": "<script>alert(1)</script>"',
        '"rater": "a\\nb"',
        '"rater": "a\\u0000"',
        '"rater": ""',
        '"rater": "\\ud800"',
        '"request_id": "short"',
        '"request_id": "new\\nline-0001"',
        '"__proto__": {"polluted": true}',
        '"id": 1',
    ],
)
def test_a_verdict_with_a_wrong_value_is_refused(wire, require_harmless, change):
    body = json.dumps({**VERDICT, "success_frame": 3}).removesuffix("}")
    require_harmless(wire.judge(f"{body}, {change}}}".encode()), status=(400, 422))
    assert wire.lines() == []

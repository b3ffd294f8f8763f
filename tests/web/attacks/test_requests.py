"""Methods, ranges and bytes that no browser sends."""

import contextlib
import socket

import pytest

UID = "rollout-01-00000000"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "X"])
@pytest.mark.parametrize(
    "target", ["/", "/api/queue", f"/videos/{UID}/front.mp4", "/static/palette.css"]
)
def test_unknown_methods_are_refused(wire, require_harmless, method, target):
    require_harmless(wire.ask(method, target), status=405)


def test_a_head_has_no_body(wire):
    for target in ("/", "/label", f"/videos/{UID}/front.mp4", "/static/palette.css"):
        status, _, body = wire.ask("GET", target)
        with wire.connect() as connection:
            head = f"HEAD {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            received = b"".join(iter(lambda c=connection: c.recv(65536), b""))
        assert status == 200
        assert received.startswith(b"HTTP/1.1 200")
        assert received.endswith(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in received.lower()


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=" + ",".join(f"{n}-{n}" for n in range(1000)),
        "bytes=" + ",".join(["0-"] * 1000),
        "bytes=5-2",
        "bytes=--1",
        "bytes=-",
        "bytes=0-" + "9" * 5000,
        "bytes=" + "9" * 5000 + "-",
        "bytes=0-0, -1, 5",
        "bytes=a-b",
        "frames=0-1",
        "bytes 0-1",
        "bytes=\u0663-",
        "",
    ],
)
def test_a_weird_range_gets_the_whole_video(wire, wanted):
    whole = wire.ask("GET", f"/videos/{UID}/front.mp4")
    status, headers, body = wire.send(
        f"GET /videos/{UID}/front.mp4 HTTP/1.1\r\nHost: localhost\r\n".encode()
        + b"Connection: close\r\nRange: " + wanted.encode("utf-8") + b"\r\n\r\n"
    )  # fmt: skip
    assert (status, body) == (200, whole[2])
    assert "content-range" not in headers


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/nine\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_is_not_http_is_refused_and_the_next_is_served(wire, raw):
    received = b""
    # A server that hangs up before it has read everything resets the connection.
    with wire.connect() as connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        for part in iter(lambda: connection.recv(65536), b""):
            received += part
    assert received == b"" or received.startswith(b"HTTP/1.1 4")
    assert b"Traceback" not in received
    assert wire.ask("GET", "/api/project")[0] == 200


def test_a_websocket_is_not_spoken(wire):
    upgrade = (
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
    )
    assert wire.ask("GET", "/api/nothing", *upgrade)[0] == 404

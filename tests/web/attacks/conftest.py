"""A server on a real socket, and a client that sends exactly the bytes it is told."""

import json
import socket
import threading
import time
from contextlib import closing

import pytest

from data.outcomes import OutcomeStore
from data.verdicts import DecisionRule
from recap.web.app import create_app
from recap.web.server import make_server

TOKEN = "a-token-of-many-characters"  # noqa: S105 - opens only what a test has made
SECRET = "nobody outside may read this"  # noqa: S105 - what an attack would like to see
UID = "rollout-01-00000000"
JSON = "Content-Type: application/json"


class Wire:
    """A server on a real socket, and a client that sends exactly the bytes it is told."""

    def __init__(self, project, *, token=""):
        self.project, self.token = project, token
        self.store = OutcomeStore(project.outcomes)
        self.app = create_app(project, self.store, rule=DecisionRule(), token=token)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server = make_server(self.app)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)

    def close(self):
        self.server.should_exit = True
        self.thread.join()
        self.listener.close()
        self.store.close()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, raw, *, pieces=()):
        """Send bytes and return the status, the headers and the body of the answer."""
        with self.connect() as connection:
            connection.sendall(raw)
            for piece in pieces:
                connection.sendall(piece)
            return answer_on(connection)

    def ask(self, method, target, *headers, body=b"", host=None):
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {host or f'127.0.0.1:{self.port}'}",
            *headers,
            *([f"Content-Length: {len(body)}"] if body else []),
            "Connection: close",
        ]
        return self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def judge(self, content, *headers, uid=UID, host=None):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        target = f"/api/episodes/{uid}/verdicts"
        return self.ask("POST", target, *(headers or (JSON,)), body=body, host=host)

    def lines(self):
        return self.store.since(0)


def answer_on(connection):
    with closing(connection.makefile("rb")) as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        for line in iter(stream.readline, b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            headers.setdefault(name.lower(), value.strip())
        length = headers.get("content-length")
        body = stream.read(int(length)) if length is not None else stream.read()
    return status, headers, body


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("attacked")


@pytest.fixture(scope="module")
def wire(folder, make_project):
    (folder / "secret.txt").write_text(SECRET)
    (folder / "secret.mp4").write_text(SECRET)
    project = make_project(folder / "square", episodes=3)
    (project.folder / "secret.html").write_text(SECRET)
    made = Wire(project)
    yield made
    made.close()


@pytest.fixture(scope="module")
def locked(folder, wire):
    made = Wire(wire.project, token=TOKEN)
    yield made
    made.close()


@pytest.fixture(name="open_wire", scope="session")
def open_wire_():
    return Wire


@pytest.fixture(name="answer_on", scope="session")
def answer_on_():
    return answer_on


@pytest.fixture(scope="session")
def secret():
    return SECRET


@pytest.fixture
def require_harmless(folder):
    """No answer may be a crash, name a path of the machine, or lack the headers of safety."""

    def require(answer, *, status=None):
        found, headers, body = answer
        text = body.decode("utf-8", errors="replace")
        assert found < 500, text
        assert SECRET not in text
        assert str(folder) not in text
        assert "Traceback" not in text
        assert 'File "' not in text
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        if found >= 400 and "json" in headers["content-type"]:
            assert set(json.loads(body)) == {"detail"}
        if status is not None:
            assert found in (status if isinstance(status, tuple) else (status,)), text

    return require

"""What a server does with those who do not keep to the rules."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect as connect_websocket

from data.errors import ConfigError, PolicyUnreachableError
from recap.remote.arrays import MOST_MESSAGE_BYTES
from recap.remote.config import ServeConfig
from recap.remote.messages import Question, read_reply, write_question
from recap.remote.server import _token_for, serve

TOKEN = "a-token-of-some-length"  # noqa: S105 - no secret
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens there in a test

KILLED_SERVER = """
import asyncio, sys, time
import numpy as np
from recap.remote.card import Sizes
from recap.remote.server import PolicyServer
from recap.rollout.chunks import Chunk

class Source:
    policy_id, chunk_steps, executed_steps, follows_prefix = "killed", 6, 4, True

    def begin(self, *, seed):
        pass

    def predict(self, observation, prefix):
        if observation.task == "think":
            print("thinking", flush=True)
            time.sleep(60)
        return Chunk(actions=np.ones((6, 2), np.float32), normalised=np.ones((6, 2), np.float32))

    def close(self):
        pass

sizes = Sizes(cameras={"front": (8, 10), "wrist": (6, 4)}, state_size=3, action_size=2)
server = PolicyServer(Source, sizes, token="", max_robots=1, say=lambda line: None)
listening = lambda port: print(port, flush=True)
asyncio.run(server.run("127.0.0.1", int(sys.argv[1]), listening=listening, stop=asyncio.Event()))
"""


@pytest.fixture
def wire():
    """Open connections that send whatever they are told to."""
    with ExitStack() as stack:

        def open_one(address, **options):
            line = connect_websocket(
                f"ws://{address}", compression=None, proxy=None, close_timeout=1, **options
            )
            opened = stack.enter_context(line)
            opened.recv(5)  # the welcome
            return opened

        yield open_one


@pytest.fixture
def asked(observe):
    def write(**changes):
        question = Question(number=3, begin=0, observation=observe(), prefix=None)
        return msgpack.packb({**msgpack.unpackb(write_question(question)), **changes})

    return write


def reply(line, number=3):
    return read_reply(line.recv(5), number=number, steps=6, action_size=2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "The message is of version 2, but version 1 is spoken here."),
        ({"version": None}, "The message says no version;"),
        ({"begin": None}, "The first question of a connection must begin an attempt."),
        ({"state": pickle.dumps(0)}, "An array must be a map of dtype, shape and data."),
    ],
)
def test_a_wrong_question_is_refused_in_words_and_the_next_one_answered(
    serving, wire, asked, changes, words
):
    line = wire(serving().address)
    line.send(asked(**changes))
    refusal = reply(line)
    assert refusal.words.startswith(words)
    assert (refusal.number, refusal.may_ask_again) == (3, False)
    line.send(asked())
    assert reply(line).actions.shape == (6, 2)


@pytest.mark.parametrize(
    "message", [b"", b"\x00", pickle.dumps({"version": 1}), "text", b"\xdd\xff\xff\xff\xff"]
)
def test_what_is_no_message_is_refused_and_the_server_goes_on(serving, wire, asked, message):
    line = wire(serving().address)
    line.send(message)
    assert reply(line).number == 0
    line.send(asked())
    assert reply(line).actions.shape == (6, 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(messages=st.lists(st.binary(max_size=60) | st.text(max_size=20), max_size=4))
def test_no_bytes_stop_the_server(serving_once, wire_once, asked, messages):
    for message in messages:
        wire_once.send(message)
        assert reply(wire_once).words
    wire_once.send(asked())
    assert reply(wire_once).actions.shape == (6, 2)


@pytest.fixture
def serving_once(serving):
    return serving()


@pytest.fixture
def wire_once(serving_once, wire):
    return wire(serving_once.address)


def test_a_message_that_is_too_large_ends_its_connection_alone(serving, wire, asked):
    server = serving()
    other, line = wire(server.address), wire(server.address)
    line.send(bytes(MOST_MESSAGE_BYTES + 1))
    with pytest.raises(ConnectionClosedError, match="1009"):
        line.recv(5)
    other.send(asked())
    assert reply(other).actions.shape == (6, 2)


def test_bytes_that_are_no_websocket_do_not_stop_the_server(serving, wire, asked, caplog):
    server = serving()
    for noise in (b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b""):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
            line.sendall(noise)
    line = wire(server.address)
    line.send(asked())
    assert reply(line).actions.shape == (6, 2)
    assert caplog.records == []


def test_a_web_page_is_no_robot(serving, wire):
    with pytest.raises(InvalidStatus, match="403"):
        wire(serving().address, origin="http://localhost")


def test_a_token_shown_twice_is_refused(serving, wire):
    shown = [("Authorization", f"Bearer {TOKEN}")] * 2
    with pytest.raises(InvalidStatus, match="401"):
        wire(serving(token=TOKEN).address, additional_headers=shown)


def test_a_token_of_odd_letters_is_refused(serving, wire):
    with pytest.raises(InvalidStatus, match="401"):
        wire(
            serving(token=TOKEN).address,
            additional_headers={"Authorization": "Bearer t\u00f6ken"},
        )


def test_a_source_that_cannot_be_made_leaves_no_robot_behind(serving, wire, drawing_source, asked):
    failures = [ValueError("no memory left")]

    def make():
        if failures:
            raise failures.pop()
        return drawing_source()

    server = serving(make, max_robots=1)
    with pytest.raises(ConnectionClosedError, match="1011"):
        wire(server.address)
    line = wire(server.address)
    line.send(asked())
    assert reply(line).actions.shape == (6, 2)


def start_server_to_kill(port):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_SERVER, str(port)], stdout=subprocess.PIPE, text=True
    )
    return process, int(process.stdout.readline())


def test_a_server_killed_in_the_middle_is_noticed_at_once_and_found_again(connect, observe):
    with ExitStack() as stack:
        process, port = start_server_to_kill(0)
        stack.enter_context(process)
        stack.callback(process.kill)
        remote = connect(f"127.0.0.1:{port}", deadline_s=20.0)
        assert remote.predict(observe(), None).actions.shape == (6, 2)

        def kill_while_it_thinks():
            assert process.stdout.readline() == "thinking\n"
            os.kill(process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_while_it_thinks)
        killer.start()
        began = time.monotonic()
        with pytest.raises(PolicyUnreachableError, match="the connection was lost"):
            remote.predict(observe(task="think"), None)
        assert time.monotonic() - began < 5
        killer.join()

        process.wait()
        again, _ = start_server_to_kill(port)
        stack.enter_context(again)
        stack.callback(again.kill)
        end = time.monotonic() + 10
        while True:
            try:
                assert remote.predict(observe(), None).actions.shape == (6, 2)
                break
            except PolicyUnreachableError:
                assert time.monotonic() < end
                time.sleep(0.05)


def test_the_door_is_open_to_this_machine_alone_unless_a_token_is_set(monkeypatch):
    monkeypatch.delenv("RECAP_POLICY_TOKEN", raising=False)
    said = []
    assert _token_for(ServeConfig(), said.append) == ""
    assert said == []
    made = _token_for(ServeConfig(host=EVERYWHERE), said.append)
    assert len(made) == 32
    assert said == [f"On the robot, first: export RECAP_POLICY_TOKEN={made}"]
    assert _token_for(ServeConfig(host=EVERYWHERE), said.append) != made
    monkeypatch.setenv("RECAP_POLICY_TOKEN", TOKEN)
    assert _token_for(ServeConfig(host=EVERYWHERE), said.append) == TOKEN
    assert len(said) == 2


def test_a_server_without_a_policy_says_what_to_type():
    with pytest.raises(ConfigError) as caught:
        serve(ServeConfig(), print)
    assert str(caught.value) == (
        "Say which policy to serve: --serve.path=<a pretrained_model folder>."
    )

"""Against a stand-in for an openpi server, with arrays as openpi's own client writes them."""

import threading
from contextlib import suppress
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve as serve_websockets

from data.errors import ConfigError, PolicyUnreachableError
from recap.remote.config import OpenpiConfig
from recap.remote.errors import PolicyRefusedError

OPENPI = OpenpiConfig(cameras={"front": "observation/image"}, chunk_steps=4, executed_steps=2)


def pack(array):
    return {
        b"__ndarray__": True,
        b"data": array.tobytes(),
        b"dtype": array.dtype.str,
        b"shape": array.shape,
    }


def unpack(content):
    if b"__ndarray__" in content:
        return np.ndarray(buffer=content[b"data"], dtype=content[b"dtype"], shape=content[b"shape"])
    return content


class OpenpiServer:
    def __init__(self):
        self.asked = []
        self.authorization = []
        self.answer = {"actions": pack(np.arange(8.0).reshape(4, 2)), "server_timing": {"ms": 1.0}}

    def attend(self, line):
        self.authorization.append(line.request.headers.get("Authorization"))
        line.send(msgpack.packb({"reset_pose": [0.0, 1.0]}))
        with suppress(ConnectionClosed):
            for data in line:
                self.asked.append(msgpack.unpackb(data, object_hook=unpack))
                line.send(
                    self.answer if isinstance(self.answer, str) else msgpack.packb(self.answer)
                )


@pytest.fixture
def openpi():
    server = OpenpiServer()
    with serve_websockets(server.attend, "127.0.0.1", 0, compression=None, max_size=None) as wire:
        thread = threading.Thread(target=wire.serve_forever)
        thread.start()
        server.address = f"127.0.0.1:{wire.socket.getsockname()[1]}"
        yield server
        wire.shutdown()
        thread.join()


@pytest.fixture
def remote(openpi, connect, monkeypatch):
    monkeypatch.setenv("RECAP_POLICY_TOKEN", "a-token-of-some-length")
    return connect(openpi.address, protocol="openpi", openpi=OPENPI)


def test_an_openpi_server_is_asked_in_its_own_words(openpi, remote, observe):
    seen = observe()
    chunk = remote.predict(seen, None)
    (asked,) = openpi.asked
    assert set(asked) == {"observation/image", "observation/wrist", "observation/state", "prompt"}
    np.testing.assert_array_equal(asked["observation/image"], seen.images["front"])
    np.testing.assert_array_equal(asked["observation/wrist"], seen.images["wrist"])
    np.testing.assert_array_equal(asked["observation/state"], seen.state)
    assert asked["prompt"] == seen.task
    np.testing.assert_array_equal(chunk.actions, np.arange(8, dtype=np.float32).reshape(4, 2))
    assert chunk.actions.dtype == np.float32
    assert openpi.authorization == ["Api-Key a-token-of-some-length"]


def test_an_openpi_policy_is_what_its_settings_say(remote):
    assert (remote.chunk_steps, remote.executed_steps, remote.follows_prefix) == (4, 2, False)
    assert remote.policy_id.startswith("openpi-")


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            "Traceback\n  in /home/x.py\nKeyError: 'observation/image'",
            PolicyUnreachableError,
            "The openpi server failed: KeyError: 'observation/image'",
        ),
        ({"actions": [[1.0]]}, PolicyRefusedError, "There is no array of actions in it."),
        (
            {"actions": pack(np.zeros((4, 2), ">f4"))},
            PolicyRefusedError,
            "Its actions are no numbers of a known type.",
        ),
        (
            {"actions": pack(np.full((4, 2), np.nan))},
            PolicyRefusedError,
            "Its actions are not all finite numbers.",
        ),
        (
            {"actions": pack(np.zeros((10, 2)))},
            PolicyRefusedError,
            "of shape (10, 2), not (4, 2). If its chunks are of that length, type "
            "--policy.openpi.chunk_steps=10.",
        ),
        ({"actions": pack(np.float64(1).reshape(()))}, PolicyRefusedError, "not all finite"),
    ],
)
def test_an_answer_that_is_none_is_refused_in_words(openpi, remote, observe, answer, error, words):
    openpi.answer = answer
    with pytest.raises(error) as caught:
        remote.predict(observe(), None)
    assert words in str(caught.value)
    assert "/home" not in str(caught.value)


def test_a_camera_that_the_robot_does_not_have_is_a_mistake(openpi, connect):
    wrong = replace(OPENPI, cameras={"top": "observation/image"})
    with pytest.raises(ConfigError, match="names 'top', but the robot has only front, wrist"):
        connect(openpi.address, protocol="openpi", openpi=wrong)


def test_the_wrong_protocol_is_told_on_both_sides(openpi, serving, connect):
    with pytest.raises(PolicyRefusedError, match=r"type --policy\.protocol=openpi"):
        connect(openpi.address)
    with pytest.raises(PolicyRefusedError, match=r"Leave --policy\.protocol out"):
        connect(serving().address, protocol="openpi", openpi=OPENPI)

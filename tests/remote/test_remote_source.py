import socket
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace

import numpy as np
import pytest
from websockets.server import ServerProtocol

from data.errors import PolicyUnreachableError
from recap.remote.card import PolicyCard, Sizes
from recap.remote.errors import PolicyRefusedError
from recap.remote.messages import write_welcome
from recap.rollout.chunks import Prefix

TOKEN = "a-token-of-some-length"  # noqa: S105 - no secret


def prefix(seed=0, rows=3, delay=2):
    rng = np.random.default_rng(seed)
    return Prefix(normalised=rng.normal(size=(rows, 7)).astype(np.float32), delay_steps=delay)


def same(chunk, other):
    np.testing.assert_array_equal(chunk.actions, other.actions)
    np.testing.assert_array_equal(chunk.normalised, other.normalised)
    assert chunk.actions.dtype == chunk.normalised.dtype == np.float32


def answers_again(remote, observation, within_s=5.0):
    """Do as a session does: hold, and ask again."""
    end = time.monotonic() + within_s
    while True:
        try:
            return remote.predict(observation, None)
        except PolicyUnreachableError:
            assert time.monotonic() < end, "the policy did not come back"
            time.sleep(0.02)


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_remote_policy_does_bit_for_bit_what_it_does_here(
    serving, connect, drawing_source, observe
):
    here, there = drawing_source(), connect(serving().address)
    for seed in (3, 4):
        here.begin(seed=seed)
        there.begin(seed=seed)
        for step, told in enumerate([None, prefix(), prefix(1, rows=1, delay=0), None]):
            seen = observe(step)
            same(there.predict(seen, told), here.predict(seen, told))


def test_an_attempt_that_begins_anew_draws_the_same_noise_again(serving, connect, observe):
    remote = connect(serving().address)
    remote.begin(seed=5)
    first = remote.predict(observe(), None)
    assert not np.array_equal(remote.predict(observe(), None).actions, first.actions)
    remote.begin(seed=5)
    same(remote.predict(observe(), None), first)


def test_the_handshake_tells_what_the_policy_is(serving, connect, drawing_source):
    remote = connect(serving(lambda: drawing_source("cube-7")).address)
    told = (remote.policy_id, remote.chunk_steps, remote.executed_steps, remote.follows_prefix)
    assert told == ("cube-7", 6, 4, True)


def test_two_robots_have_an_attempt_each_and_share_one_thread(
    serving, connect, drawing_source, observe
):
    threads = set()

    class Noting(drawing_source):
        def predict(self, observation, prefix):
            threads.add(threading.get_ident())
            return super().predict(observation, prefix)

    server = serving(Noting)
    robots = [connect(server.address) for _ in range(2)]
    alone = [drawing_source() for _ in robots]
    for seed, (robot, reference) in enumerate(zip(robots, alone, strict=True)):
        robot.begin(seed=seed)
        reference.begin(seed=seed)
    for step in range(3):
        for robot, reference in zip(robots, alone, strict=True):
            same(robot.predict(observe(step), None), reference.predict(observe(step), None))
    assert len(threads) == 1


def test_one_robot_too_many_is_told_so(serving, connect):
    server = serving(max_robots=1)
    connect(server.address)
    with pytest.raises(PolicyUnreachableError, match="it serves 1 robots already"):
        connect(server.address)


def test_a_robot_that_leaves_makes_room_and_its_source_is_closed(
    serving, connect, drawing_source, observe
):
    made = []

    def make():
        made.append(drawing_source())
        return made[-1]

    server = serving(make, max_robots=1)
    for number in range(3):
        remote = connect(server.address)
        assert remote.predict(observe(), None).actions.shape == (6, 2)
        assert not made[number].is_closed
        remote.close()
    server.stop()
    assert [source.is_closed for source in made] == [True, True, True]


@pytest.mark.parametrize("shown", ["", "another-token-of-this-length", TOKEN + "x"])
def test_a_wrong_token_is_refused_before_anything_is_said(serving, connect, shown):
    server = serving(token=TOKEN)
    with pytest.raises(PolicyRefusedError, match="wants another token"):
        connect(server.address, token=shown)
    assert server.said == []


def test_the_token_may_come_from_the_environment(serving, connect, monkeypatch, observe):
    server = serving(token=TOKEN)
    monkeypatch.setenv("RECAP_POLICY_TOKEN", TOKEN)
    assert connect(server.address).predict(observe(), None).actions.shape == (6, 2)


def test_an_address_where_nobody_listens_is_an_error_at_once(connect):
    port = free_port()
    began = time.monotonic()
    with pytest.raises(PolicyUnreachableError) as caught:
        connect(f"127.0.0.1:{port}")
    assert str(caught.value) == (
        f"The policy at ws://127.0.0.1:{port} cannot be reached: nothing listens there."
    )
    assert time.monotonic() - began < 1


def test_a_policy_of_another_robot_is_refused_before_anything_moves(serving, connect):
    other = Sizes(
        cameras={"front": (8, 12), "wrist": (6, 4), "side": (2, 2)}, state_size=3, action_size=7
    )
    server = serving(sizes=other)
    with pytest.raises(PolicyRefusedError) as caught:
        connect(server.address)
    assert str(caught.value) == (
        "Policy drawing does not fit this robot: it needs a camera 'side'; camera 'front' is 8x10 "
        "here and 8x12 there (height x width); its action has 7 components, not 2. Serve a policy "
        "that was trained on this robot, or name and size its cameras as in training."
    )


def test_an_answer_that_comes_too_late_is_an_error_at_the_deadline(
    serving, connect, drawing_source, observe
):
    is_slow = threading.Event()

    class Slow(drawing_source):
        def predict(self, observation, prefix):
            if is_slow.is_set():
                time.sleep(0.8)
            return super().predict(observation, prefix)

    remote = connect(serving(Slow).address, deadline_s=0.2)
    remote.begin(seed=1)
    first = remote.predict(observe(), None)
    is_slow.set()
    began = time.monotonic()
    with pytest.raises(PolicyUnreachableError, match=r"no answer came within 0\.2 s"):
        remote.predict(observe(), None)
    assert 0.2 <= time.monotonic() - began < 0.5
    is_slow.clear()
    # The attempt begins anew on the new connection, with the noise of its beginning.
    same(answers_again(remote, observe()), first)


def test_a_question_whose_robot_has_left_is_not_predicted(
    serving, connect, drawing_source, observe
):
    asked = []
    may_go_on = threading.Event()

    class Stuck(drawing_source):
        def predict(self, observation, prefix):
            asked.append(observation.task)
            may_go_on.wait(5)
            return super().predict(observation, prefix)

    server = serving(Stuck, max_robots=9)
    robots = [connect(server.address, deadline_s=0.1) for _ in range(3)]
    for number, robot in enumerate(robots):
        with pytest.raises(PolicyUnreachableError):
            robot.predict(observe(task=f"question {number}"), None)
    time.sleep(0.1)
    may_go_on.set()
    answers_again(robots[0], observe(task="question 3"))
    assert asked == ["question 0", "question 3"]


def test_a_server_that_stops_and_comes_back_is_found_again(
    serving, connect, drawing_source, observe, sizes
):
    server = serving()
    remote = connect(server.address, deadline_s=1.0)
    first = remote.predict(observe(), None)
    server.stop()
    with pytest.raises(PolicyUnreachableError):
        remote.predict(observe(), None)
    server.start(drawing_source, sizes, port=server.port)
    same(answers_again(remote, observe()), first)


def test_a_server_that_comes_back_with_another_policy_is_refused(
    serving, connect, drawing_source, observe, sizes
):
    server = serving()
    remote = connect(server.address)
    server.stop()
    server.start(lambda: drawing_source("another"), sizes, port=server.port)
    with pytest.raises(PolicyRefusedError, match="now serves policy another, but this session"):
        answers_again(remote, observe())


def test_a_failure_of_the_policy_is_told_without_its_secrets(
    serving, connect, drawing_source, observe
):
    class Failing(drawing_source):
        def predict(self, observation, prefix):
            if observation.task == "fail":
                message = "/home/somebody/secret.safetensors"
                raise RuntimeError(message)
            return super().predict(observation, prefix)

    server = serving(Failing)
    remote = connect(server.address)
    with pytest.raises(PolicyUnreachableError) as caught:
        remote.predict(observe(task="fail"), None)
    assert str(caught.value) == (
        "The policy's server refused to answer: The prediction failed; the window of the server "
        "says why."
    )
    assert "A prediction failed: RuntimeError: /home/somebody/secret.safetensors" in server.said
    assert remote.predict(observe(), None).actions.shape == (6, 2)


def test_an_observation_of_another_size_is_refused_and_the_next_one_answered(
    serving, connect, observe
):
    remote = connect(serving().address)
    seen = observe()
    wrong = {**seen.images, "front": seen.images["wrist"]}
    with pytest.raises(PolicyRefusedError, match=r"A picture must be \[8, 10, 3\] uint8"):
        remote.predict(replace(seen, images=wrong), None)
    assert remote.predict(seen, None).actions.shape == (6, 2)


def test_a_closed_source_says_so_and_may_be_closed_again(serving, connect, observe):
    remote = connect(serving().address)
    remote.close()
    remote.close()
    with pytest.raises(PolicyUnreachableError):
        remote.predict(observe(), None)


def test_a_network_that_swallows_bytes_holds_nobody_up(connect, observe, sizes):
    """The far end greets and never reads again, so that the question cannot even be sent."""
    card = PolicyCard(
        policy_id="deaf", chunk_steps=6, executed_steps=4, follows_prefix=True, sizes=None
    )
    large = {"front": (2400, 2400), "wrist": (6, 4)}
    welcome = write_welcome(card, replace(sizes, cameras=large))
    greeted = []

    def greet(listener):
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                greeted.append(line)
                protocol = ServerProtocol()
                protocol.receive_data(line.recv(4096))
                (request,) = protocol.events_received()
                protocol.send_response(protocol.accept(request))
                protocol.send_binary(welcome)
                line.sendall(b"".join(protocol.data_to_send()))

    seen = observe()
    images = {**seen.images, "front": np.zeros((2400, 2400, 3), np.uint8)}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        remote = connect(
            f"127.0.0.1:{listener.getsockname()[1]}",
            deadline_s=0.2,
            layout_cameras=large,
        )
        began = time.monotonic()
        with pytest.raises(PolicyUnreachableError, match="no answer came within"):
            remote.predict(replace(seen, images=images), None)
        assert time.monotonic() - began < 0.6
        remote.close()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for line in greeted:
        line.close()

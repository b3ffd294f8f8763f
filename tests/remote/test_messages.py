import contextlib
import pickle
import struct
import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from envs.world import Observation
from recap.remote.arrays import WIRE_TYPES, pack_array, unpack_array
from recap.remote.card import PolicyCard, Sizes
from recap.remote.errors import MessageError
from recap.remote.fields import unpack_map
from recap.remote.messages import (
    Question,
    Refusal,
    read_question,
    read_reply,
    read_welcome,
    write_answer,
    write_question,
    write_refusal,
    write_welcome,
)
from recap.rollout.chunks import Chunk, Prefix

SIZES = Sizes(cameras={"front": (4, 6)}, state_size=2, action_size=2)

arrays = st.sampled_from(sorted(WIRE_TYPES)).flatmap(
    lambda name: hnp.arrays(np.dtype(name), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
)


def question(prefix=None, begin=9):
    rng = np.random.default_rng(0)
    seen = Observation(
        images={"front": rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)},
        state=np.array([0.25, -1.0], np.float32),
        task="put the cube on the pad",
    )
    return Question(number=7, begin=begin, observation=seen, prefix=prefix)


def changed(data, **changes):
    """Return a message with other fields; a field of None is left out."""
    content = {**msgpack.unpackb(data), **changes}
    return msgpack.packb({key: value for key, value in content.items() if value is not None})


@given(arrays)
def test_an_array_survives_the_way_there_and_back(array):
    back = unpack_array(msgpack.unpackb(msgpack.packb(pack_array(array))))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


def test_an_array_of_the_other_byte_order_keeps_its_numbers():
    array = np.array([1.0, -2.5], dtype=">f4")
    np.testing.assert_array_equal(unpack_array(pack_array(array)), array)


def test_an_array_of_objects_is_not_sent():
    with pytest.raises(MessageError, match="An array of object cannot be sent; only bool, uint8"):
        pack_array(np.array([None]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dtype": "object"}, "An array may hold bool, uint8"),
        ({"dtype": ["float32"]}, "An array may hold bool, uint8"),
        ({"shape": [3]}, "does not have the bytes it should have"),
        ({"shape": [1]}, "does not have the bytes it should have"),
        ({"data": "text"}, "does not have the bytes it should have"),
        ({"shape": [-2, -1]}, "must be whole numbers from 0 on"),
        ({"shape": [True, 2]}, "must be whole numbers from 0 on"),
        ({"shape": [2.0]}, "must be whole numbers from 0 on"),
        ({"shape": 2}, "must be a list of at most 8 sizes"),
        ({"shape": [1] * 8 + [2]}, "must be a list of at most 8 sizes"),
        ({"shape": [0, 2**62, 2**62], "data": b""}, "does not fit into a message"),
        ({"extra": 1}, "must be a map of dtype, shape and data"),
    ],
)
def test_an_array_that_contradicts_itself_is_refused(change, words):
    content = {**pack_array(np.zeros(2, np.float32)), **change}
    with pytest.raises(MessageError, match=words):
        unpack_array(content)


@pytest.mark.parametrize("begin", [None, 0, 2**63])
@pytest.mark.parametrize(
    "told", [None, Prefix(normalised=np.ones((3, 5), np.float32), delay_steps=2)]
)
def test_a_question_survives_the_way(told, begin):
    asked = question(told, begin)
    heard = read_question(write_question(asked), SIZES)
    assert (heard.number, heard.begin) == (7, begin)
    assert heard.observation.task == asked.observation.task
    np.testing.assert_array_equal(heard.observation.state, asked.observation.state)
    np.testing.assert_array_equal(heard.observation.images["front"], picture_of(asked))
    if told is None:
        assert heard.prefix is None
    else:
        assert heard.prefix.delay_steps == 2
        np.testing.assert_array_equal(heard.prefix.normalised, told.normalised)


def picture_of(asked):
    return asked.observation.images["front"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": None}, "says no version; this is version 1"),
        ({"version": 2}, "is of version 2, but version 1 is spoken here. Install the same"),
        ({"version": "1"}, "message.version must be a whole number"),
        ({"kind": "welcome"}, "message.kind must be question"),
        ({"number": -1}, "message.number must be a whole number from 0 on"),
        ({"begin": "now"}, "message.begin must be a whole number"),
        ({"task": 3}, "message.task must be text"),
        ({"images": {}}, "sees the cameras front, no more and no less"),
        ({"images": 3}, "message.images must be a map"),
        ({"images": {"front": 3}}, "An array must be a map"),
        ({"prefix": 3}, "message.prefix must be a map"),
        ({"prefix": {"normalised": 3}}, "An array must be a map"),
        ({"state": pack_array(np.zeros(3, np.float32))}, r"float32 of shape \(2\)"),
        ({"state": pack_array(np.zeros(2))}, r"float32 of shape \(2\)"),
        ({"state": pack_array(np.array([np.inf, -np.inf], np.float32))}, "must be finite"),
    ],
)
def test_a_question_with_something_wrong_is_refused_in_words(change, words):
    with pytest.raises(MessageError, match=words):
        read_question(changed(write_question(question()), **change), SIZES)


def test_a_jpeg_costs_little_and_looks_alike():
    down, across = np.mgrid[0:48, 0:64]
    smooth = np.stack([down * 5, across * 3, down + across], axis=-1).astype(np.uint8)
    sizes = Sizes(cameras={"front": (48, 64)}, state_size=2, action_size=2)
    seen = Observation(images={"front": smooth}, state=np.zeros(2, np.float32), task="")
    asked = Question(number=1, begin=0, observation=seen, prefix=None)
    small, large = write_question(asked, jpeg_quality=90), write_question(asked)
    assert len(small) < len(large) / 4
    heard = read_question(small, sizes).observation.images["front"].astype(int)
    assert np.abs(heard - smooth).max() <= 12


@pytest.mark.parametrize("claimed", [(8, 12), (4, 5)])
def test_a_jpeg_of_another_size_is_refused_before_it_is_decoded(claimed):
    other = Observation(
        images={"front": np.zeros((*claimed, 3), np.uint8)}, state=np.zeros(2, np.float32), task=""
    )
    data = write_question(
        Question(number=1, begin=0, observation=other, prefix=None), jpeg_quality=90
    )
    with pytest.raises(MessageError, match="another shape than"):
        read_question(data, SIZES)
    images = msgpack.unpackb(data)["images"]
    images["front"]["shape"] = [4, 6, 3]
    with pytest.raises(MessageError, match="is not the JPEG that it says it is"):
        read_question(changed(data, images=images), SIZES)


@pytest.mark.parametrize("data", [b"", b"no picture", 3])
def test_what_is_no_jpeg_is_refused(data):
    images = {"front": {"jpeg": data, "shape": [4, 6, 3]}}
    with pytest.raises(MessageError, match="is not the JPEG that it says it is"):
        read_question(changed(write_question(question()), images=images), SIZES)


def test_a_jpeg_that_claims_a_huge_picture_is_refused_unread():
    asked = write_question(question(), jpeg_quality=90)
    images = msgpack.unpackb(asked)["images"]
    data = images["front"]["jpeg"]
    at = data.index(b"\xff\xc0") + 5  # height and width stand here
    images["front"]["jpeg"] = data[:at] + struct.pack(">HH", 65000, 65000) + data[at + 4 :]
    with pytest.raises(MessageError, match="is not the JPEG that it says it is"):
        read_question(changed(asked, images=images), SIZES)


def test_a_welcome_survives_the_way():
    card = PolicyCard(
        policy_id="p", chunk_steps=50, executed_steps=25, follows_prefix=False, sizes=SIZES
    )
    assert read_welcome(write_welcome(card, SIZES)) == card


@pytest.mark.parametrize("size", [[4], [4, 0], ["4", 6], 4])
def test_a_welcome_with_a_camera_of_no_size_is_refused(size):
    card = PolicyCard(
        policy_id="p", chunk_steps=50, executed_steps=25, follows_prefix=False, sizes=SIZES
    )
    data = changed(write_welcome(card, SIZES), cameras={"front": size})
    with pytest.raises(MessageError, match=r"must map names to \[height, width\]"):
        read_welcome(data)


def chunk(rows=3):
    rng = np.random.default_rng(1)
    return Chunk(
        actions=rng.normal(size=(rows, 2)).astype(np.float32),
        normalised=rng.normal(size=(rows, 5)).astype(np.float32),
    )


def test_an_answer_survives_the_way():
    said = chunk()
    heard = read_reply(write_answer(4, said), number=4, steps=3, action_size=2)
    np.testing.assert_array_equal(heard.actions, said.actions)
    np.testing.assert_array_equal(heard.normalised, said.normalised)


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"number": 5}, "An answer to question 4 came instead of 5"),
        ({"steps": 4}, r"message.actions must be float32 of shape \(4, 2\)"),
        ({"action_size": 3}, r"message.actions must be float32 of shape \(3, 3\)"),
    ],
)
def test_an_answer_to_something_else_is_refused(expected, words):
    with pytest.raises(MessageError, match=words):
        read_reply(
            write_answer(4, chunk()), **{"number": 4, "steps": 3, "action_size": 2} | expected
        )


def test_a_refusal_survives_the_way():
    refusal = Refusal(number=4, words="No.", may_ask_again=True)
    assert read_reply(write_refusal(refusal), number=4, steps=3, action_size=2) == refusal


def test_a_pickle_is_no_message_and_is_not_run():
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the pickle was run",)

    payload = pickle.dumps(Trap())
    for data in (payload, changed(write_question(question()), state=payload)):
        with pytest.raises(MessageError):
            read_question(data, SIZES)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",  # a list of 4 billion
        b"\xdf\xff\xff\xff\xff",  # a map of 4 billion
        b"\xc6\xff\xff\xff\xff",  # 4 GB of bytes
        b"\xdb\xff\xff\xff\xff",  # 4 GB of text
        b"\xc9\xff\xff\xff\xff\x01",  # 4 GB of something else
        b"\xdd\x00\x0f\x00\x00" * 200_000,  # lists of nearly a million inside one another
        b"\x91" * 1_000_000,
        b"\x81" * 1_000_000,
        b"\x81\x91\x00\x00",  # a list as a key
        b"\x81\xa1a\xd6\xff\x00\x00\x00\x00",  # a time
        b"\xa3abc",
        b"\x80\x80",
    ],
)
def test_a_message_that_announces_more_than_it_holds_costs_nothing(data):
    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            read_question(data, SIZES)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20


def test_a_time_or_another_extension_is_no_message():
    for extension in (b"\xd6\xff\x00\x00\x00\x00", b"\xd4\x05\x00"):
        with pytest.raises(MessageError, match="longer in some part than it may be"):
            unpack_map(b"\x81\xa1a" + extension)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_a_map(data):
    with contextlib.suppress(MessageError):
        assert isinstance(unpack_map(data), dict)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = sorted(msgpack.unpackb(write_question(question())))


@given(st.dictionaries(st.sampled_from(KEYS), junk, min_size=1))
def test_a_question_with_junk_in_any_field_is_refused_or_read(changes):
    content = msgpack.unpackb(write_question(question()))
    try:
        heard = read_question(msgpack.packb({**content, **changes}), SIZES)
    except MessageError:
        return
    assert heard.observation.state.shape == (2,)


@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_a_question_with_one_wrong_byte_is_refused_or_read(place, byte, as_jpeg):
    data = bytearray(write_question(question(), jpeg_quality=80 * as_jpeg))
    data[place % len(data)] = byte
    with contextlib.suppress(MessageError):
        assert read_question(bytes(data), SIZES).number >= 0

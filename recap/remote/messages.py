"""The messages between a robot and the policy's server, version 1.

Every message is one binary WebSocket message: a MessagePack map with ``version`` and ``kind``.
Arrays are maps of dtype, shape and data (`recap.remote.arrays`), and nothing in a message is code.

::

    server -> robot   welcome   policy_id, chunk_steps, executed_steps, follows_prefix,
                                cameras {name: [height, width]}, state_size, action_size
    robot -> server   question  number, begin (a seed, or null), task, state (S,) float32,
                                images {name: (H, W, 3) uint8 or JPEG},
                                prefix (null or {normalised (k, A') float32, delay_steps})
    server -> robot   answer    number, actions (h, A) float32, normalised (h, A') float32
    server -> robot   refusal   number, words, may_ask_again

The server speaks first. A question that carries ``begin`` begins an attempt: the noise of the
policy is seeded anew. The first question of a connection must carry it, so a robot that was cut
off goes on with one message.
"""

from dataclasses import dataclass
from typing import Final

import msgpack

from envs.world import Observation
from recap.remote.arrays import pack_array
from recap.remote.card import PolicyCard, Sizes
from recap.remote.errors import MessageError
from recap.remote.fields import Fields, unpack_map
from recap.remote.pictures import pack_picture, unpack_picture
from recap.rollout.chunks import Chunk, Prefix

VERSION: Final = 1

WELCOME: Final = "welcome"
QUESTION: Final = "question"
ANSWER: Final = "answer"
REFUSAL: Final = "refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a robot asks."""

    number: int
    """Which question of this robot it is; the answer carries the same number."""

    begin: int | None
    """Seed of a new attempt; None to go on with the one that runs."""

    observation: Observation
    """What the robot sees."""

    prefix: Prefix | None
    """What it will do anyway in the meantime; None where nothing is planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a server says instead of an answer."""

    number: int
    """The question that is refused; 0 where none could be read."""

    words: str
    """Why, for a person."""

    may_ask_again: bool
    """Whether the same question may be answered another time."""


def write_welcome(card: PolicyCard, sizes: Sizes) -> bytes:
    """Return the first message of a server."""
    return _write(
        WELCOME,
        policy_id=card.policy_id,
        chunk_steps=card.chunk_steps,
        executed_steps=card.executed_steps,
        follows_prefix=card.follows_prefix,
        cameras={name: list(size) for name, size in sizes.cameras.items()},
        state_size=sizes.state_size,
        action_size=sizes.action_size,
    )


def read_welcome(data: object) -> PolicyCard:
    """Read the first message of a server.

    Raises:
        MessageError: If it is none, or of another version.
    """
    fields = _read(data, WELCOME)
    return PolicyCard(
        policy_id=fields.text("policy_id"),
        chunk_steps=fields.count("chunk_steps"),
        executed_steps=fields.count("executed_steps"),
        follows_prefix=fields.flag("follows_prefix"),
        sizes=Sizes(
            cameras={name: _read_size(name, size) for name, size in fields.map("cameras").items()},
            state_size=fields.count("state_size"),
            action_size=fields.count("action_size"),
        ),
    )


def write_question(question: Question, *, jpeg_quality: int = 0) -> bytes:
    """Return a question; ``jpeg_quality`` above 0 sends its pictures as JPEG."""
    seen, prefix = question.observation, question.prefix
    images = {
        name: pack_picture(picture, jpeg_quality=jpeg_quality)
        for name, picture in seen.images.items()
    }
    return _write(
        QUESTION,
        number=question.number,
        begin=question.begin,
        task=seen.task,
        state=pack_array(seen.state),
        images=images,
        prefix=None
        if prefix is None
        else {"normalised": pack_array(prefix.normalised), "delay_steps": prefix.delay_steps},
    )


def read_question(data: object, sizes: Sizes) -> Question:
    """Read a question that fits a policy; no picture is decoded that it does not ask for.

    Raises:
        MessageError: If it is no question, of another version, or about another robot.
    """
    fields = _read(data, QUESTION)
    images = fields.map("images")
    if set(images) != set(sizes.cameras):
        message = f"The policy sees the cameras {', '.join(sizes.cameras)}, no more and no less."
        raise MessageError(message)
    return Question(
        number=fields.count("number"),
        begin=fields.count("begin") if fields.has("begin") else None,
        observation=Observation(
            images={
                name: unpack_picture(images[name], height=height, width=width)
                for name, (height, width) in sizes.cameras.items()
            },
            state=fields.floats("state", (sizes.state_size,)),
            task=fields.text("task"),
        ),
        prefix=_read_prefix(fields.fields("prefix")) if fields.has("prefix") else None,
    )


def number_of(data: object) -> int:
    """Return the number of a question that may be wrong in everything else; 0 if it has none."""
    try:
        return Fields(unpack_map(data), name="question").count("number")
    except MessageError:
        return 0


def write_answer(number: int, chunk: Chunk) -> bytes:
    """Return the answer to a question."""
    return _write(
        ANSWER,
        number=number,
        actions=pack_array(chunk.actions),
        normalised=pack_array(chunk.normalised),
    )


def write_refusal(refusal: Refusal) -> bytes:
    """Return a refusal."""
    return _write(
        REFUSAL,
        number=refusal.number,
        words=refusal.words,
        may_ask_again=refusal.may_ask_again,
    )


def read_reply(data: object, *, number: int, steps: int, action_size: int) -> Chunk | Refusal:
    """Read what a server says to the question of this number.

    Raises:
        MessageError: If it is neither an answer to it nor a refusal.
    """
    fields = _read(data, ANSWER, REFUSAL)
    if fields.text("kind") == REFUSAL:
        return Refusal(
            number=fields.count("number"),
            words=fields.text("words"),
            may_ask_again=fields.flag("may_ask_again"),
        )
    if fields.count("number") != number:
        message = f"An answer to question {fields.count('number')} came instead of {number}."
        raise MessageError(message)
    return Chunk(
        actions=fields.floats("actions", (steps, action_size)),
        normalised=fields.floats("normalised", (steps, None)),
    )


def _write(kind: str, **content: object) -> bytes:
    packed: bytes = msgpack.packb({"version": VERSION, "kind": kind, **content})
    return packed


def _read(data: object, *kinds: str) -> Fields:
    fields = Fields(unpack_map(data), name="message")
    if not fields.has("version"):
        message = f"The message says no version; this is version {VERSION} of recap's messages."
        raise MessageError(message)
    version = fields.count("version")
    if version != VERSION:
        message = (
            f"The message is of version {version}, but version {VERSION} is spoken here. Install "
            f"the same version of recap on both machines."
        )
        raise MessageError(message)
    if fields.text("kind") not in kinds:
        message = f"message.kind must be {' or '.join(kinds)}."
        raise MessageError(message)
    return fields


def _read_prefix(fields: Fields) -> Prefix:
    return Prefix(
        normalised=fields.floats("normalised", (None, None)),
        delay_steps=fields.count("delay_steps"),
    )


def _read_size(name: object, size: object) -> tuple[int, int]:
    match name, size:
        case str(), [int(height), int(width)] if height > 0 and width > 0:
            return height, width
    message = "message.cameras must map names to [height, width]."
    raise MessageError(message)

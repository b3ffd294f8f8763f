"""What a robot says to a server, in the one language or the other."""

from collections.abc import Mapping
from typing import Protocol

from data.errors import PolicyUnreachableError
from data.schema import Layout
from recap.remote.card import PolicyCard, require_fit
from recap.remote.errors import MessageError, PolicyRefusedError
from recap.remote.messages import Question, Refusal, read_reply, read_welcome, write_question
from recap.rollout.chunks import Chunk


class Dialect(Protocol):
    """Turns questions into messages and messages into answers."""

    def headers(self, token: str) -> Mapping[str, str]:
        """Return what is sent along when the connection is opened."""
        ...

    def read_greeting(self, data: bytes | str) -> PolicyCard:
        """Read the server's first message, and refuse a policy that does not fit the robot.

        Raises:
            PolicyRefusedError: If it is no greeting, or the policy does not fit.
        """
        ...

    def write_question(self, question: Question) -> bytes:
        """Return the question as a message."""
        ...

    def read_answer(self, data: bytes | str, *, question: Question, card: PolicyCard) -> Chunk:
        """Read the answer to the question.

        Raises:
            PolicyUnreachableError: If the server could not answer this time.
            PolicyRefusedError: If it will not, or its answer makes no sense.
        """
        ...


class RecapDialect:
    """The messages of `recap serve-policy`."""

    def __init__(self, layout: Layout, *, jpeg_quality: int) -> None:
        """Speak for a robot of this layout."""
        self._layout = layout
        self._jpeg_quality = jpeg_quality

    def headers(self, token: str) -> Mapping[str, str]:
        """Show the token in a header: an address is written into logs, a header is not."""
        return {"Authorization": f"Bearer {token}"} if token else {}

    def read_greeting(self, data: bytes | str) -> PolicyCard:
        """Read the welcome."""
        try:
            card = read_welcome(data)
        except MessageError as error:
            message = (
                f"The policy's server cannot be understood: {error} If it is an openpi server, "
                f"type --policy.protocol=openpi."
            )
            raise PolicyRefusedError(message) from error
        require_fit(card, self._layout)
        return card

    def write_question(self, question: Question) -> bytes:
        """Return the question with what the policy asks to see."""
        return write_question(question, jpeg_quality=self._jpeg_quality)

    def read_answer(self, data: bytes | str, *, question: Question, card: PolicyCard) -> Chunk:
        """Read a chunk or a refusal."""
        try:
            reply = read_reply(
                data,
                number=question.number,
                steps=card.chunk_steps,
                action_size=len(self._layout.action_names),
            )
        except MessageError as error:
            message = f"The policy's server answered what cannot be understood: {error}"
            raise PolicyRefusedError(message) from error
        if isinstance(reply, Refusal):
            message = f"The policy's server refused to answer: {reply.words}"
            kind = PolicyUnreachableError if reply.may_ask_again else PolicyRefusedError
            raise kind(message)
        return reply

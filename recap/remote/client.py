"""A policy on another machine, asked like one in this process."""

from data.schema import Layout
from envs.world import Observation
from recap.listening import token_or_environment
from recap.remote.config import OPENPI, TOKEN_VARIABLE, RemotePolicyConfig
from recap.remote.dialect import Dialect, RecapDialect
from recap.remote.link import Link
from recap.remote.messages import Question
from recap.remote.openpi import OpenpiDialect
from recap.rollout.chunks import Chunk, Prefix


class RemoteSource:
    """A `ChunkSource` whose policy runs at ``config.address``.

    When the server goes away, `predict` raises `PolicyUnreachableError`, at the latest when the
    deadline has passed; the connection is opened again in the background. So the robot holds and
    asks again, and as soon as the server is back it is answered. The noise of the attempt that was
    cut off begins anew then: such an attempt cannot be repeated from its seed.
    """

    def __init__(self, config: RemotePolicyConfig, layout: Layout) -> None:
        """Connect, and make sure that the policy fits the robot, before anything moves.

        Args:
            config: Where the server is and how it is asked.
            layout: What the robot's cameras, state and actions are.

        Raises:
            PolicyUnreachableError: If nobody answers at the address.
            PolicyRefusedError: If the token is wrong, or version, cameras or sizes do not fit.
        """
        self._dialect = _dialect_of(config, layout)
        self._link = Link(
            config.uri,
            dialect=self._dialect,
            token=token_or_environment(config.token, variable=TOKEN_VARIABLE),
            deadline_s=config.deadline_s,
        )
        self._seed = 0
        self._number = 0
        self._begun_on: object = None

    @property
    def chunk_steps(self) -> int:
        """Actions in a chunk, ``h``."""
        return self._link.card.chunk_steps

    @property
    def executed_steps(self) -> int:
        """Actions of a chunk that the checkpoint was made to execute before it looks again."""
        return self._link.card.executed_steps

    @property
    def policy_id(self) -> str:
        """Which policy it is; a server that comes back with another one is refused."""
        return self._link.card.policy_id

    @property
    def follows_prefix(self) -> bool:
        """Whether the policy can be told what will be done anyway."""
        return self._link.card.follows_prefix

    def begin(self, *, seed: int) -> None:
        """Begin an attempt; the server is told with the next question."""
        self._seed = seed
        self._begun_on = None

    def predict(self, observation: Observation, prefix: Prefix | None) -> Chunk:
        """Ask the server what to do from the observation on.

        Raises:
            PolicyUnreachableError: If it does not answer in time. Hold, and ask again.
            PolicyRefusedError: If it will not answer. Asking again changes nothing.
        """
        connection = self._link.connection()
        self._number += 1
        question = Question(
            number=self._number,
            begin=None if connection is self._begun_on else self._seed,
            observation=observation,
            prefix=prefix,
        )
        reply = self._link.exchange(connection, self._dialect.write_question(question))
        chunk = self._dialect.read_answer(reply, question=question, card=self._link.card)
        self._begun_on = connection
        return chunk

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


def _dialect_of(config: RemotePolicyConfig, layout: Layout) -> Dialect:
    if config.protocol == OPENPI:
        return OpenpiDialect(layout, config.openpi)
    return RecapDialect(layout, jpeg_quality=config.jpeg_quality)

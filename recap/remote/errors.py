"""What can go wrong between a robot and a policy on another machine.

A server that does not answer in time is a `data.errors.PolicyUnreachableError`: the robot holds and
asks again. What asking again does not mend is a `PolicyRefusedError`.
"""

from data.errors import RecapError


class PolicyRefusedError(RecapError):
    """A server that does not want this robot, or does not fit it; asking again changes nothing."""


class MessageError(ValueError):
    """Bytes that are no message of ours; the text says why, and is fit to be sent back."""

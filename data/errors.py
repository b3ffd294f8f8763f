"""Every mistake that a user can mend, as one family of exceptions.

The command line prints the message of a `RecapError` and leaves with exit code 2: no traceback.
So a message says what is wrong, with which thing, why it matters, and what to type.
"""


class RecapError(Exception):
    """A mistake a user can mend: one or two lines, exit code 2."""


class ConfigError(RecapError):
    """A setting that does not exist or has a value it cannot have."""


class ProjectError(RecapError):
    """A project folder, or a file in it, that is missing or is not what it should be."""


class EpisodeError(RecapError):
    """An episode that is missing, damaged, or contradicts the one already recorded."""


class UnjudgedError(RecapError):
    """Episodes without an outcome where every episode needs one."""


class VerdictError(RecapError):
    """A verdict that cannot be: it contradicts its checklist, itself, or what was said before."""

    place: int | None = None
    """Which of several lines it is, counted from 0; None where there was only one."""


class UnknownVerdictError(VerdictError):
    """A line of the verdicts that does not exist."""


class ForeignVerdictError(VerdictError):
    """A verdict that somebody tries to take back who did not give it."""


class WithdrawnVerdictError(VerdictError):
    """A line that cannot be taken back: it was already, or takes another one back itself."""


class CheckpointError(RecapError):
    """A checkpoint without weights, or with weights that do not fit."""


class UnusableError(RecapError):
    """Something that was made and measured, and is too poor to build on unless told to."""


class FingerprintError(RecapError):
    """Inputs that were not made from one another."""


class DeviceError(RecapError):
    """A robot, camera or teleoperator that cannot be reached, or was lost."""


class PolicyUnreachableError(RecapError):
    """A policy on another machine that does not answer in time."""

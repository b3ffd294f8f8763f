"""The checklist: questions about an attempt whose answers become its outcome by a stated rule."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.errors import ConfigError, VerdictError
from data.schema import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """A project's checklist."""

    questions: Mapping[str, str]
    """Short name of each criterion to the question that the form asks, in the order to ask."""

    needed: int
    """How many criteria must be met for a success."""

    def __post_init__(self) -> None:
        if not 1 <= self.needed <= len(self.questions):
            message = (
                f"label.criteria_needed must lie between 1 and the number of criteria, "
                f"{len(self.questions)}, got {self.needed}."
            )
            raise ConfigError(message)
        empty = [name for name, question in self.questions.items() if not (name and question)]
        if empty:
            message = (
                f"label.criteria must name every criterion and ask a question for it, but "
                f"'{empty[0]}' has an empty name or question."
            )
            raise ConfigError(message)

    @property
    def version(self) -> str:
        """Eight hexadecimal digits that change with any word, the order, or the rule."""
        content = json.dumps([list(self.questions.items()), self.needed], ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    def outcome(self, answers: Mapping[str, bool]) -> Outcome:
        """Turn a filled-in checklist into success or failure.

        Raises:
            VerdictError: As `check`.
        """
        self.check(answers)
        met = sum(answers[name] for name in self.questions)
        return Outcome.SUCCESS if met >= self.needed else Outcome.FAILURE

    def check(self, answers: Mapping[str, bool]) -> None:
        """Refuse answers that leave a question out or answer one that nobody asked.

        Raises:
            VerdictError: If a criterion is missing or unknown.
        """
        missing = [name for name in self.questions if name not in answers]
        unknown = sorted(set(answers) - set(self.questions))
        faults = [
            f"{fault}: {', '.join(names)}"
            for fault, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        if faults:
            message = (
                f"The answers do not fit the checklist ({'; '.join(faults)}). Answer "
                f"{', '.join(self.questions)}, each with true or false."
            )
            raise VerdictError(message)

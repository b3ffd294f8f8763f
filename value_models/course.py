"""How far a training has come, and how it went."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Course:
    """How far a training has come, and how it went."""

    step: int = 0
    """Steps done."""

    history: list[dict[str, float]] = field(default_factory=list)
    """The learning curve."""

    best_loss: float | None = None
    """Lowest held-out loss so far."""

    best_step: int = 0
    """Step after which it was measured."""

    measured_since: int = 0
    """Measurements since then."""

    recent: list[tuple[float, float]] = field(default_factory=list)
    """Loss and gradient norm of every step since the last entry of ``history``."""

    def add(self, figures: dict[str, float]) -> None:
        """Add what was measured to the learning curve; the steps before it are told with it."""
        self.recent.clear()
        self.history.append({"step": self.step, **figures})

    def measured(self, loss: float) -> bool:
        """Take note of a held-out loss; say whether it is the lowest so far."""
        self.measured_since += 1
        is_best = loss < (math.inf if self.best_loss is None else self.best_loss)
        if is_best:
            self.best_loss, self.best_step, self.measured_since = loss, self.step, 0
        return is_best

    def is_measured(self, *, steps: int, measurements: int) -> bool:
        """Say whether to measure after this step: it is ``ceil(steps * k / measurements)``."""
        k = self.step * measurements // steps
        return k >= 1 and self.step == math.ceil(steps * k / measurements)

    def is_over(self, *, steps: int, patience: int) -> bool:
        """Say whether all steps are done, or so many measurements brought nothing new."""
        has_stalled = patience > 0 and self.measured_since >= patience
        return has_stalled or self.step >= steps

"""A scripted arm operator: demonstrator with human habits, and corrector that takes over."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.arm import Floats
from envs.tabletop import CUBES, STEP_METRES, STEP_RADIANS, Tabletop

HOVER_METRES: Final = 0.085
"""Height of the fingertips when they travel above things."""
GRASP_METRES: Final = 0.016
CARRY_METRES: Final = 0.075
RELEASE_METRES: Final = 0.024
"""Height of the fingertips when the cube is let go of: just above the table."""
ABOVE_METRES: Final = 0.012
"""Near enough, sideways, to go straight down."""
CLOSING_STEPS: Final = 3
OPENING_STEPS: Final = 3
HOLDING_METRES: Final = 0.03
"""A cube further from the fingertips than this is not in the hand."""
NOTHING_HELD_OPENING: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How one person handles the arm in one attempt."""

    speed: float = 1.0
    """Share of the arm's full speed, in (0, 1]."""

    grasp_error_metres: float = 0.0
    """Standard deviation of where the fingers close, drawn anew at every try."""

    placing_error_metres: float = 0.0
    """Standard deviation of where the cube is let go of, drawn anew at every try."""

    hesitation: float = 0.0
    """Chance per step to start dithering for a few steps."""

    wandering_metres: float = 0.0
    """How far beside the cube the first approach goes."""

    starts_with_wrong_cube: bool = False
    """Reach for the other cube first, notice, and turn."""


SKILLED: Final = Habits()


def draw_habits(rng: np.random.Generator, *, skill: float) -> Habits:
    """Draw what one attempt of a demonstrator looks like.

    Args:
        rng: Source of randomness.
        skill: Share of the attempts that a practised person makes, quick and precise. The others
            are a novice's.

    Returns:
        Habits that last for the attempt, as a person's do, and that go together, as a novice's
        do. Zero-mean noise on single actions would average out under cloning and leave nothing to
        improve on.
    """
    if rng.random() < skill:
        return SKILLED
    return Habits(
        speed=float(rng.choice([0.22, 0.4, 0.7])),
        grasp_error_metres=0.016 if rng.random() < 0.7 else 0.0,
        placing_error_metres=0.035 if rng.random() < 0.5 else 0.0,
        hesitation=0.04 if rng.random() < 0.5 else 0.0,
        wandering_metres=0.08 if rng.random() < 0.3 else 0.0,
        starts_with_wrong_cube=bool(rng.random() < 0.2),
    )


class _Phase(Enum):
    WANDER = auto()
    DOUBT = auto()
    REACH = auto()
    DESCEND = auto()
    CLOSE = auto()
    CARRY = auto()
    LOWER = auto()
    OPEN = auto()


class Expert:
    """Solves the tabletop task from wherever it stands, with the habits it is given.

    It looks at the simulator's truth, so it can demonstrate and correct but never be evaluated.
    """

    def __init__(self, *, rng: np.random.Generator, habits: Habits = SKILLED) -> None:
        """Start fresh; call :meth:`action` once per control step."""
        self._rng = rng
        self._habits = habits
        self._phase = _Phase.REACH
        if habits.wandering_metres > 0:
            self._phase = _Phase.WANDER
        elif habits.starts_with_wrong_cube:
            self._phase = _Phase.DOUBT
        self._steps_in_phase = 0
        self._dithering_steps = 0
        self._is_closing = False
        self._redraw_errors()
        self._detour = habits.wandering_metres * _unit_vector(rng)

    def take_over(self, world: Tabletop) -> None:
        """Begin from the middle of somebody else's attempt."""
        self._is_closing = world.opening < 0.9
        self._enter(_Phase.CARRY if _is_holding(world) else _Phase.REACH)

    def action(self, world: Tabletop) -> NDArray[np.float32]:
        """Return the next action, ``(5,)`` in [-1, 1]: what this operator commands."""
        self._advance(world)
        self._steps_in_phase += 1
        if self._is_dithering():
            wobble = self._rng.uniform(-0.25, 0.25, size=3)
            return self._pack(wobble, 0.0)
        target = self._target(world)
        if self._phase in (_Phase.REACH, _Phase.CARRY) and _is_among_the_cubes(world):
            target[:2] = world.commanded[:2]
        step = (target[:3] - world.commanded[:3]) / STEP_METRES
        largest = float(np.abs(step).max())
        step *= min(1.0, self._habits.speed / max(largest, 1e-9))
        turn = (target[3] - world.commanded[3]) / STEP_RADIANS
        return self._pack(step, float(np.clip(turn, -1.0, 1.0)) * self._habits.speed)

    def _pack(self, step: Floats, turn: float) -> NDArray[np.float32]:
        return np.array([*step, turn, -1.0 if self._is_closing else 1.0], dtype=np.float32)

    def _advance(self, world: Tabletop) -> None:
        """Move on to the next phase when this one has done its work, or back when it failed."""
        if self._phase in (_Phase.CARRY, _Phase.LOWER) and not _is_holding(world):
            self._give_up_grasp()
            return
        aside = float(np.linalg.norm(self._target(world)[:2] - world.fingertips[:2]))
        height = float(world.fingertips[2])
        match self._phase:
            case _Phase.WANDER | _Phase.DOUBT if aside < 2 * ABOVE_METRES:
                self._enter(_Phase.REACH)
            case _Phase.REACH if aside < ABOVE_METRES and not self._is_closing:
                self._enter(_Phase.DESCEND)
            case _Phase.DESCEND if aside > 3 * ABOVE_METRES:
                self._enter(_Phase.REACH)
            case _Phase.DESCEND if height < GRASP_METRES + 0.006:
                self._enter(_Phase.CLOSE)
            case _Phase.CLOSE if self._steps_in_phase >= CLOSING_STEPS:
                self._finish_closing(world)
            case _Phase.CARRY if aside < ABOVE_METRES:
                self._enter(_Phase.LOWER)
            case _Phase.LOWER if height < RELEASE_METRES + 0.006:
                self._enter(_Phase.OPEN)
            case _Phase.OPEN if self._steps_in_phase >= OPENING_STEPS:
                self._give_up_grasp()
            case _:
                pass

    def _finish_closing(self, world: Tabletop) -> None:
        if world.opening < NOTHING_HELD_OPENING or not _is_holding(world):
            self._give_up_grasp()
        else:
            self._enter(_Phase.CARRY)

    def _give_up_grasp(self) -> None:
        """Nothing is in the hand: open it and try again, with new errors."""
        self._redraw_errors()
        self._enter(_Phase.REACH)

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._steps_in_phase = 0
        if phase in (_Phase.CLOSE, _Phase.CARRY, _Phase.LOWER):
            self._is_closing = True
        elif phase in (_Phase.OPEN, _Phase.REACH):
            self._is_closing = False

    def _redraw_errors(self) -> None:
        habits = self._habits
        self._grasp_error = self._rng.normal(0.0, 1.0, 2) * habits.grasp_error_metres
        self._placing_error = self._rng.normal(0.0, 1.0, 2) * habits.placing_error_metres

    def _is_dithering(self) -> bool:
        can_dither = self._phase in (_Phase.REACH, _Phase.DESCEND, _Phase.CARRY)
        if self._dithering_steps == 0 and can_dither:
            if self._rng.random() < self._habits.hesitation:
                self._dithering_steps = int(self._rng.integers(3, 8))
            return False
        self._dithering_steps = max(0, self._dithering_steps - 1)
        return self._dithering_steps > 0

    def _target(self, world: Tabletop) -> Floats:
        """Return the pose ``(x, y, z, yaw)`` that this phase steers to."""
        cube, pad = world.target_cube, world.target_pad
        yaw = world.cube_yaw(world.target_colour)
        grasp, place = cube[:2] + self._grasp_error, pad[:2] + self._placing_error
        other = next(colour for colour in CUBES if colour != world.target_colour)
        beside = cube[:2] + self._detour
        poses: Mapping[_Phase, tuple[Floats, float, float]] = {
            _Phase.WANDER: (beside, HOVER_METRES, 0.0),
            _Phase.DOUBT: (world.cube(other)[:2], HOVER_METRES, 0.0),
            _Phase.REACH: (grasp, HOVER_METRES, yaw),
            _Phase.DESCEND: (grasp, GRASP_METRES, yaw),
            _Phase.CLOSE: (world.commanded[:2], GRASP_METRES, yaw),
            _Phase.CARRY: (place, CARRY_METRES, 0.0),
            _Phase.LOWER: (place, RELEASE_METRES, 0.0),
            _Phase.OPEN: (world.commanded[:2], RELEASE_METRES, 0.0),
        }
        aside, height, turn = poses[self._phase]
        return np.array([*aside, height, turn])


def _is_among_the_cubes(world: Tabletop) -> bool:
    """Whether the fingers are so low that they must go up before they go aside."""
    return bool(world.fingertips[2] < 0.5 * HOVER_METRES)


def _is_holding(world: Tabletop) -> bool:
    gap = float(np.linalg.norm(world.target_cube - world.fingertips))
    is_between = NOTHING_HELD_OPENING < world.opening < 0.9
    return gap < HOLDING_METRES and is_between


def _unit_vector(rng: np.random.Generator) -> Floats:
    angle = rng.uniform(-np.pi, np.pi)
    return np.array([np.cos(angle), np.sin(angle)])

"""Pictures of the values that a model predicted of whole episodes, against what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from recap.report.content import Floats
from recap.report.palette import light_colours
from recap.report.value_charts import MEDIUM, SMALL, new_figure, png, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN: Final = 12
"""Episodes in the grid."""

COLUMNS: Final = 6
CELLS: Final = 60
"""Cells of the density, in both directions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictedEpisode:
    """One episode of T frames, what came and what was predicted."""

    values: Floats
    """``(T,)`` predicted returns, in [-1, 0]."""

    returns: Floats
    """``(T,)`` returns that came, in [-1, 0]."""

    is_success: bool
    """How it was judged."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not describe the same frames."""
        if len(self.values) != len(self.returns) or len(self.values) == 0:
            message = f"{len(self.values)} values and {len(self.returns)} returns do not fit."
            raise ValueError(message)

    @property
    def error(self) -> float:
        """Mean distance between value and return."""
        return float(np.abs(self.values - self.returns).mean())


def predicted_episodes(
    values: NDArray[np.floating],
    returns: NDArray[np.floating],
    *,
    episode_index: NDArray[np.integer],
    is_success: NDArray[np.bool_],
) -> list[PredictedEpisode]:
    """Cut frames into their episodes.

    Args:
        values: ``(M,)`` predicted returns of whole episodes, in order.
        returns: ``(M,)`` returns that came.
        episode_index: ``(M,)`` episode of each frame.
        is_success: ``(M,)`` whether its episode was judged a success.
    """
    cuts = np.flatnonzero(np.diff(episode_index) != 0) + 1
    return [
        PredictedEpisode(
            values=np.asarray(values[rows], dtype=np.float64),
            returns=np.asarray(returns[rows], dtype=np.float64),
            is_success=bool(is_success[rows[0]]),
        )
        for rows in np.split(np.arange(len(values)), cuts)
        if len(rows)
    ]


def against_return(episodes: Sequence[PredictedEpisode]) -> bytes:
    """Draw how often which value met which return, over the frames of successes and failures."""
    colours = light_colours()
    figure = new_figure(8.6, 4.1, columns=2)
    for axes, is_success, name in (
        (figure.axes[0], True, "success"),
        (figure.axes[1], False, "failure"),
    ):
        own = [e for e in episodes if e.is_success is is_success]
        if own:
            _draw_density(axes, own, colour=colours[name])
        axes.plot([-1, 0], [-1, 0], color=colours["ink"], lw=1.4, dashes=(5, 3))
        axes.set_xlim(-1.0, 0.0)
        axes.set_ylim(-1.0, 0.0)
        style(
            axes,
            title=f"{len(own)} {name}{'' if len(own) == 1 else 'es' if is_success else 's'}",
            x="return that came",
            y="predicted value",
        )
    figure.axes[0].text(
        -0.97, -0.06, "above the line: too hopeful", fontsize=SMALL, color=colours["soft"], va="top"
    )
    return png(figure)


def _draw_density(axes: Axes, episodes: Sequence[PredictedEpisode], *, colour: str) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    returns = np.concatenate([e.returns for e in episodes])
    values = np.concatenate([e.values for e in episodes])
    counts, _, _ = np.histogram2d(values, returns, bins=CELLS, range=((-1, 0), (-1, 0)))
    shades = LinearSegmentedColormap.from_list("frames", [light_colours()["card"], colour])
    most = max(float(np.quantile(counts[counts > 0], 0.95)), 1.0) if counts.any() else 1.0
    axes.imshow(
        np.clip(counts / most, 0.0, 1.0) ** 0.5,
        origin="lower",
        extent=(-1, 0, -1, 0),
        cmap=shades,
        vmin=0.0,
        vmax=1.0,
        interpolation="nearest",
        aspect="auto",
    )


def along_episodes(episodes: Sequence[PredictedEpisode]) -> bytes:
    """Draw the values along some episodes: the best predicted to the worst, half of each kind.

    All of them share their axes, so that they compare.
    """
    colours = light_colours()
    shown = shown_episodes(episodes)
    rows = -(-len(shown) // COLUMNS)
    figure = new_figure(11.0, 0.9 + 1.9 * rows, rows=rows, columns=COLUMNS)
    longest = max(len(episode.values) for episode in shown)
    for place, axes in enumerate(figure.axes):
        if place >= len(shown):
            axes.set_visible(False)
            continue
        draw_episode(axes, shown[place], longest=longest)
        axes.set_xlabel("frame" * (place + COLUMNS >= len(shown)))
        axes.set_ylabel("return" * (place % COLUMNS == 0))
    figure.suptitle(
        "Value along held-out episodes, the best predicted to the worst. Successes green, "
        "failures red, the return that came dashed",
        fontsize=MEDIUM,
        fontweight="bold",
        color=colours["ink"],
        x=0.01,
        ha="left",
    )
    return png(figure)


def draw_episode(axes: Axes, episode: PredictedEpisode, *, longest: int) -> None:
    """Draw value and return along one episode into a chart that is ``longest`` frames wide."""
    colours = light_colours()
    frames = np.arange(len(episode.values))
    name = "success" if episode.is_success else "failure"
    axes.plot(frames, episode.returns, color=colours["ink"], lw=1.3, dashes=(5, 3))
    axes.plot(frames, episode.values, color=colours[name], lw=2.2)
    axes.set_xlim(0, max(longest - 1, 1))
    axes.set_ylim(-1.02, 0.02)
    style(axes, x="frame", y="return")
    words = f"off by {episode.error:.2f}"
    axes.text(
        0.98,
        0.05,
        words,
        transform=axes.transAxes,
        ha="right",
        fontsize=SMALL,
        color=colours[name],
        bbox={"facecolor": colours["card"], "alpha": 0.8, "pad": 1, "lw": 0},
    )


def shown_episodes(episodes: Sequence[PredictedEpisode]) -> list[PredictedEpisode]:
    """Choose episodes that stand for all: successes first, each kind from its best to its worst.

    Half of the places are for failures; a kind with fewer episodes leaves its places to the other.
    """
    kinds = [
        sorted((e for e in episodes if e.is_success is wanted), key=lambda e: e.error)
        for wanted in (True, False)
    ]
    least = [min(len(kind), SHOWN // 2) for kind in kinds]
    places = [min(len(kind), SHOWN - least[1 - own]) for own, kind in enumerate(kinds)]
    return [
        kind[place]
        for kind, count in zip(kinds, places, strict=True)
        for place in np.unique(np.linspace(0, len(kind) - 1, count).round().astype(int))
        if count
    ]

"""Compare ways of making a value model on one project's attempts: the tables of docs/results.md.

Every way is trained several times, each time with other weights and other episodes held out, and
what one run measured is kept in ``<project>/value_study``: a study that was stopped goes on where
it was. Ways are compared on the same held-out episodes, with intervals over those episodes.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import ConfigError, RecapError
from data.files import read_json, whole_file, write_json_atomically
from data.trainset import Trainset
from recap.config import RecapConfig
from recap.core.advantages import n_step_advantages
from recap.progress import silent
from recap.project import Project
from recap.settings import read_settings
from recap.trainsets import judge, per_frame, trainset_of
from recap.values import backbone_to_read, observe_with
from value_models.bins import BinSupport
from value_models.config import EncoderKind, Projection, ValueTrainingConfig
from value_models.distributions import predict_distributions
from value_models.frames import JudgedFrames, Observations
from value_models.model import DistributionalValueModel
from value_models.ranking import success_auc
from value_models.training import train_value_model

BEGIN: Final = "<!-- value-study:begin -->"
END: Final = "<!-- value-study:end -->"
PAGE: Final = Path("docs/results.md")
HELD_OUT: Final = 0.3
"""Share of the episodes that is held out: three times as many as in a lap, to tell ways apart."""

RESAMPLES: Final = 2000
Floats = NDArray[np.float64]
PerEpisode = dict[str, list[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of making a value model: what is other than in the demo."""

    name: str
    scaling: str = "penalty"
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    is_from_base: bool = True


AS_IN_THE_DEMO: Final = Way(name="as in the demo")
FIRST_WAY: Final = "projection: hl_gauss, from nothing"
WAYS: Final = (
    AS_IN_THE_DEMO,
    Way(name="dropout 0.1", training={"dropout": 0.1}),
    Way(name="three members", training={"members": 3}),
    *(
        Way(
            name=f"projection: {kind.value}, from nothing",
            model={"projection": kind},
            is_from_base=False,
        )
        for kind in (Projection.HL_GAUSS, Projection.TWO_HOT, Projection.ONE_HOT)
    ),
    *(Way(name=f"scaling: {name}", scaling=name) for name in ("floor", "clipped")),
    Way(
        name="features of the base policy",
        model={"encoder": EncoderKind.POLICY},
        is_from_base=False,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The project's judged attempts, on one scale."""

    frames: JudgedFrames
    is_autonomous: NDArray[np.bool_]
    """``(N,)`` whether the frame's attempt is a rollout that nobody corrected."""

    rewards: Floats
    """``(N,)`` rewards on the scale of the returns."""


def main() -> int:
    """Train what is missing, then print and write the tables; 2 is a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path("runs/demo"), help="finished laps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="gradient steps; those of the project if left")
    parser.add_argument("--only", nargs="+", default=[way.name for way in WAYS], help="ways")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE}")
    arguments = parser.parse_args()
    try:
        study(arguments)
    except RecapError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def study(arguments: argparse.Namespace) -> None:
    """Measure every way with every seed, and make the tables of what there is."""
    wanted = [way for way in WAYS if way.name in arguments.only]
    if len(wanted) != len(arguments.only):
        message = f"--only takes some of: {', '.join(repr(way.name) for way in WAYS)}"
        raise ConfigError(message)
    config = read_settings([f"--project={arguments.project}"])
    steps = arguments.steps or config.value.steps
    laboratory = Laboratory(config, steps=steps)
    runs: dict[str, list[dict[str, Any]]] = {}
    for way in wanted:
        for seed in arguments.seeds:
            began_s = time.monotonic()
            runs.setdefault(way.name, []).append(laboratory.measure(way, seed))
            took_s = time.monotonic() - began_s
            sys.stderr.write(f"{way.name}, seed {seed}: {took_s:.0f} s\n")
    tables = render(runs, steps=steps, seeds=arguments.seeds, episodes=laboratory.episodes)
    sys.stdout.write(f"{tables}\n")
    if arguments.write:
        put_into_page(tables)


class Laboratory:
    """The project's attempts, and what was measured on them."""

    def __init__(self, config: RecapConfig, *, steps: int) -> None:
        """Open the newest lap's training set."""
        self.config = config
        self.project = Project(config.project)
        self.trainset = trainset_of(config, self.project, iteration=config.iterations)
        self.steps = steps
        self.folder = self.project.folder / "value_study"

    @property
    def episodes(self) -> int:
        """How many attempts there are."""
        return len(self.trainset.episodes)

    def measure(self, way: Way, seed: int) -> dict[str, Any]:
        """Train one way with one seed and measure it, unless that was done."""
        settings = self._settings(way, seed)
        stated = {
            "format": 2,
            "trainset": self.trainset.fingerprint,
            "seed": seed,
            "scaling": way.scaling,
            "is_from_base": way.is_from_base,
            "settings": _plain(asdict(settings)),
        }
        path = self.folder / f"{'-'.join(way.name.replace(':', '').split())}-{seed}.json"
        if path.exists() and (kept := read_json(path))["of"] == stated:
            return kept
        found = {"of": stated, **self._train(way, settings)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomically(path, found)
        return found

    def _settings(self, way: Way, seed: int) -> ValueTrainingConfig:
        value = self.config.value
        return replace(
            value,
            model=replace(value.model, **way.model),
            steps=self.steps,
            holdout_fraction=HELD_OUT,
            seed=seed,
            from_base=way.is_from_base,
            **way.training,
        )

    def _train(self, way: Way, settings: ValueTrainingConfig) -> dict[str, Any]:
        base = self.project.starting_point(self.config.base)
        backbone = backbone_to_read(settings.model, beginning=base / "policy")
        observations = observe_with(
            backbone, self.project, self.trainset, silent, model=settings.model
        )
        attempts = _attempts(self.config, self.trainset, observations, scaling=way.scaling)
        frames = attempts.frames
        initial = base / "value" if way.is_from_base else None
        trained = train_value_model(frames, config=settings, initial=initial)
        horizon = self.config.advantage.horizon
        return {
            "metrics": {name: trained.metrics[name] for name in ("held_out", "intervals")},
            "baselines": trained.metrics["baselines"],
            "episodes": _per_episode(trained.model, attempts, trained.held_out, horizon=horizon),
        }


def _attempts(
    config: RecapConfig, trainset: Trainset, observations: Observations, *, scaling: str
) -> Attempts:
    returns = replace(config.returns, scaling=type(config.returns.scaling)(scaling))
    scale = returns.scale(config.world.time_limit_steps)
    autonomous = [e.info.iteration > 0 and not e.info.corrected_frames for e in trainset.episodes]
    return Attempts(
        frames=judge(trainset, observations, scale),
        is_autonomous=np.array(autonomous)[trainset.episode_index()],
        rewards=per_frame(trainset, scale.rewards),
    )


def _per_episode(
    model: DistributionalValueModel,
    attempts: Attempts,
    held_out: NDArray[np.int64],
    *,
    horizon: int,
) -> PerEpisode:
    """Say of every held-out attempt how far the model was off, and how its steps were valued.

    Scores are means over the attempt's frames: the squared error in steps, the logarithmic score
    of the return's own bin and the continuous ranked probability score, which hold for whatever
    projection the model was trained with.
    """
    frames = attempts.frames
    seen = _only(frames.observations, held_out)
    said = predict_distributions(model, seen)
    support: BinSupport = model.support
    returns = frames.returns[held_out]
    nearest = replace(support, projection=Projection.ONE_HOT)
    own_bin = nearest.project(torch.from_numpy(returns.astype(np.float32))).argmax(dim=1).numpy()
    mass = said.probabilities.astype(np.float64)
    centers = np.linspace(-1.0, 0.0, support.bins)
    past = np.cumsum(mass, axis=1) - (centers[None] >= returns[:, None])
    steps = frames.steps_per_return()[held_out]
    scores = {
        "squared_error": ((said.values - returns) * steps) ** 2,
        "log_score": -np.log(np.maximum(mass[np.arange(len(mass)), own_bin], 1e-12)),
        "crps_steps": (past**2).sum(axis=1) / (support.bins - 1) * steps,
    }
    episode = frames.episode_index[held_out]
    found: PerEpisode = {name: [] for name in (*scores, "is_success", "advantage")}
    for number in np.unique(episode):
        rows = episode == number
        whole = frames.episode_index == number
        for name, score in scores.items():
            found[name].append(float(score[rows].mean()))
        found["is_success"].append(float(frames.is_success[whole][0]))
        advantages = n_step_advantages(
            attempts.rewards[whole], said.values[rows].astype(np.float64), horizon=horizon
        )
        early = advantages[:-horizon]  # later windows hold the reward that tells the outcome
        is_told = attempts.is_autonomous[whole][0] and len(early) > 0
        found["advantage"].append(float(early.mean()) if is_told else None)
    return found


def _only(observations: Observations, index: NDArray[np.int64]) -> Observations:
    return replace(
        observations,
        images={name: images[index] for name, images in observations.images.items()},
        state=observations.state[index],
        task_index=observations.task_index[index],
        features=None if observations.features is None else observations.features[index],
    )


def _plain(tree: object) -> object:
    if isinstance(tree, Mapping):
        return {name: _plain(value) for name, value in tree.items()}
    return list(tree) if isinstance(tree, tuple) else tree


def render(
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    steps: int,
    seeds: Sequence[int],
    episodes: int,
) -> str:
    """Make the tables."""
    measured = [
        "| | AUC at 25, 50, 75 % of the time | rank correlation | coverage of 50, 90 % | "
        "error, steps (RMSE) | log score | CRPS, steps |",
        "|---|---|---|---|---|---|---|",
        *(_measured_row(name, found) for name, found in runs.items()),
    ]
    about = f"{len(seeds)} seeds, {steps} steps, {HELD_OUT:.0%} of {episodes} attempts held out; "
    lines = [f"{about}means over the seeds.", "", *measured]
    reference = runs.get(AS_IN_THE_DEMO.name)
    if reference:
        lines += [
            "",
            "| against the baselines (as in the demo) | RMSE, steps | AUC at 50 % |",
            "|---|---|---|",
            *(_baseline_row(name, reference) for name in reference[0]["baselines"]),
        ]
        lines += ["", *_difference_rows(runs)]
    return "\n".join(lines)


def _measured_row(name: str, found: Sequence[Mapping[str, Any]]) -> str:
    def mean(figure: str) -> float:
        return float(np.mean([run["metrics"]["held_out"][figure] for run in found]))

    def score(figure: str) -> float:
        return float(np.mean([np.mean(run["episodes"][figure]) for run in found]))

    root = float(np.mean([np.sqrt(np.mean(run["episodes"]["squared_error"])) for run in found]))
    return (
        f"| {name} | {mean('auc_25'):.3f}, {mean('auc_50'):.3f}, {mean('auc_75'):.3f} | "
        f"{mean('rank_correlation_successes'):.3f} | "
        f"{mean('coverage_50'):.2f}, {mean('coverage_90'):.2f} | {root:.1f} | "
        f"{score('log_score'):.3f} | {score('crps_steps'):.2f} |"
    )


def _baseline_row(name: str, found: Sequence[Mapping[str, Any]]) -> str:
    def cells(figure: str, decimals: int) -> str:
        parts = [run["baselines"][name]["model_minus_baseline"][figure] for run in found]
        return "; ".join(
            f"{point:+.{decimals}f} [{low:+.{decimals}f}, {high:+.{decimals}f}]"
            for low, point, high in parts
        )

    return f"| minus {name.replace('_', ' ')} | {cells('rmse_steps', 1)} | {cells('auc_50', 3)} |"


def _difference_rows(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Compare ways on the same scale of returns, attempt by attempt."""
    about = "| minus another way, paired over attempts | log score | CRPS, steps | squared error |"
    rows = [f"{about} AUC of an attempt's mean advantage |", "|---|---|---|---|---|"]
    for name, found in runs.items():
        against = FIRST_WAY if name.startswith("projection") else AS_IN_THE_DEMO.name
        if name == against or against not in runs:
            continue
        cells = [
            "" if name.startswith("scaling") else _paired(found, runs[against], _mean_of(figure))
            for figure in ("log_score", "crps_steps", "squared_error")
        ]
        cells.append(_paired(found, runs[against], _advantage_auc))
        rows.append(f"| {name} minus {against} | {' | '.join(cells)} |")
    return rows


Figure = Callable[[Mapping[str, Floats]], float]


def _mean_of(figure: str) -> Figure:
    return lambda episodes: float(episodes[figure].mean())


def _advantage_auc(episodes: Mapping[str, Floats]) -> float:
    """Chance that a success's mean advantage lies above a failure's, of autonomous attempts."""
    known = ~np.isnan(episodes["advantage"])
    auc = success_auc(episodes["advantage"][known], episodes["is_success"][known] > 0)
    return float("nan") if auc is None else auc


def _paired(
    one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], figure: Figure
) -> str:
    """Give the mean difference over seeds, and its interval over the held-out attempts."""
    rng = np.random.default_rng(0)
    points, samples = [], np.zeros(RESAMPLES)
    for ours, theirs in zip(one, other, strict=True):
        # Who was corrected, or was quick, has no advantage to compare: None, and then NaN.
        mine, yours = (
            {name: np.array(column, dtype=np.float64) for name, column in run["episodes"].items()}
            for run in (ours, theirs)
        )
        count = len(mine["is_success"])
        points.append(figure(mine) - figure(yours))
        for draw in range(RESAMPLES):
            rows = rng.integers(count, size=count)
            samples[draw] += figure({n: c[rows] for n, c in mine.items()}) - figure(
                {n: c[rows] for n, c in yours.items()}
            )
    low, high = np.quantile(samples / len(one), [0.025, 0.975])
    return f"{np.mean(points):+.3f} [{low:+.3f}, {high:+.3f}]"


def put_into_page(tables: str) -> None:
    """Write the tables between their marks.

    Raises:
        ConfigError: If the page has no such marks.
    """
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{PAGE} lacks the marks {BEGIN} and {END}."
        raise ConfigError(message)
    with whole_file(PAGE) as partial:
        partial.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

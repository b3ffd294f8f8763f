"""The command ``recap inspect-value``: episodes as pictures and films of what they were worth.

It only adds pictures of its own, so it runs beside a collection or a training.
"""

import difflib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from data.errors import CheckpointError, EpisodeError, ProjectError
from data.files import whole_file
from data.schema import Outcome
from recap.config import RecapConfig
from recap.iterate import Answer
from recap.progress import ProgressFactory
from recap.project import Project

if TYPE_CHECKING:
    from recap.report.value_picking import Picked
    from recap.report.value_view import EpisodeView
    from recap.seen_episodes import SeenEpisodes, ValueModelAt

PICTURES_FOLDER: Final = "value_pictures"
"""Beside the value model, never inside: what was trained is an input of later stages."""

NEAR: Final = 0.6
"""Least likeness, as `difflib` measures it, of a name that may have been meant."""

SUGGESTED: Final = 3
"""Episodes that are offered where there is none of the name that was typed."""


def inspect(
    config: RecapConfig,
    project: Project,
    progress: ProgressFactory,  # noqa: ARG001 - an episode takes seconds
    say: Callable[[str], None],
) -> Answer:
    """Make a picture and a film of each episode that was named, or that tells the most.

    Raises:
        CheckpointError: If the lap has no value model, or it is not whole.
        EpisodeError: If an episode that is named was not recorded.
        ProjectError: If nothing was recorded yet, or nothing of the kind to pick.
        ConfigError: If Rerun is asked for and not installed.
    """
    from recap.seen_episodes import SeenEpisodes

    settings = config.inspect
    if settings.rerun:
        from recap.report.value_rerun import require_rerun

        require_rerun()
    at = value_model_of(config, project)
    seen = SeenEpisodes(config, project, at)
    picked = _picked(config, seen, say)
    destination = settings.to or at.pictures
    made = []
    for one in picked:
        view = seen.view(one.uid)
        files = write_pictures(view, destination)
        if settings.rerun:
            files["rerun"] = _to_rerun(view, settings.rerun, is_one_of_many=len(picked) > 1)
        lacks = seen.missing(view)
        say(f"{one.uid}: {one.why}" if one.why else one.uid)
        for lack in lacks:
            say(f"  {lack}")
        made.append({"uid": one.uid, "why": one.why, "missing": lacks, **_plain(view), **files})
    return Answer(
        text="\n".join(f"{one['picture']}\n{one['film']}" for one in made),
        content={"value": str(at.folder), "episodes": made},
    )


def value_model_of(config: RecapConfig, project: Project) -> "ValueModelAt":
    """Find the value model of the lap that the settings name.

    Iteration 0 is what every lap starts from: the pre-trained value model, of this project or of
    the base it was given.

    Raises:
        CheckpointError: If there is none, with the laps that have one.
    """
    from recap.seen_episodes import ValueModelAt

    lap = config.iteration
    if lap == 0 and config.base is not None:
        return ValueModelAt(
            folder=project.starting_point(config.base) / "value",
            marks=project.advantages(0),
            pictures=project.lap(0) / PICTURES_FOLDER,
        )
    part = None if lap == 0 else lap
    folder = project.value(part)
    if not folder.is_dir():
        raise CheckpointError(_no_value_model(config, project, folder))
    return ValueModelAt(
        folder=folder,
        marks=project.advantages(part),
        pictures=project.lap(part) / PICTURES_FOLDER,
    )


def write_pictures(view: "EpisodeView", folder: Path) -> dict[str, Any]:
    """Write the picture and the film of an episode, both or neither.

    Returns:
        ``picture`` and ``film``: where they are.
    """
    from recap.report.value_episode import episode_picture
    from recap.report.value_video import write_film

    picture, film = folder / f"{view.uid}.png", folder / f"{view.uid}.mp4"
    with ExitStack() as stack:
        unfinished_film = stack.enter_context(whole_file(film))
        unfinished_picture = stack.enter_context(whole_file(picture))
        write_film(view, unfinished_film)
        unfinished_picture.write_bytes(episode_picture(view))
    return {"picture": str(picture), "film": str(film)}


def _picked(
    config: RecapConfig, seen: "SeenEpisodes", say: Callable[[str], None]
) -> "list[Picked]":
    import numpy as np

    from recap.report.config import Pick
    from recap.report.value_picking import Picked, pick_episodes

    settings, known = config.inspect, seen.store.uids()
    for uid in settings.uids:
        if uid not in known:
            raise EpisodeError(_unknown(uid, known, config))
    if settings.uids:
        return [Picked(uid=uid, why="") for uid in settings.uids]
    pickable, pick = seen.pickable(), settings.pick
    if pick is Pick.WORST and not seen.is_on_scale():
        has_failures = any(e.outcome is Outcome.FAILURE for e in pickable)
        pick = Pick.FAILURES if has_failures else Pick.WORST
    if pick is not settings.pick:
        say(
            "The value model was made for another scale of returns than the settings make, so how "
            "wrong it is about failures cannot be said: these are the newest of them."
        )
    if pick is Pick.WORST:
        say("Looking for the episodes that the value model is most wrong about.")
    picked = pick_episodes(
        pickable,
        pick,
        count=settings.count,
        rng=np.random.default_rng(config.seed),
        error_of=seen.error_steps,
    )
    if not picked:
        kinds = {
            Pick.WORST: "judged episode whose return this value model predicts",
            Pick.RANDOM: "episode",
            Pick.FAILURES: "episode that was judged a failure",
            Pick.CORRECTED: "episode in which somebody corrected the policy",
        }
        message = (
            f"There is no {kinds[settings.pick]} in {config.project}. Name one with "
            f"--episode=..., or pick others: --pick={_other(settings.pick)}"
        )
        raise ProjectError(message)
    return picked


def _other(pick: str) -> str:
    return "worst" if pick == "random" else "random"


def _unknown(uid: str, known: list[str], config: RecapConfig) -> str:
    # Where a digit is missing, many are as near: the first of them are offered.
    likeness = {other: difflib.SequenceMatcher(a=other, b=uid).ratio() for other in known}
    near = [other for other in sorted(known) if likeness[other] >= NEAR]
    nearest = sorted(near, key=lambda other: -likeness[other])[:SUGGESTED]
    hint = f" Did you mean {' or '.join(f'--episode={o}' for o in nearest)}?" if nearest else ""
    return (
        f"There is no episode '{uid}' in {config.project}.{hint} "
        f"`recap label --project={config.project}` lists them, or have one picked: --pick=random"
    )


def _no_value_model(config: RecapConfig, project: Project, folder: Path) -> str:
    laps = project.lap(1).parent
    there = sorted(
        int(entry.name)
        for entry in (laps.iterdir() if laps.is_dir() else ())
        if entry.name.isdecimal() and project.value(int(entry.name)).is_dir()
    )
    if config.base is not None or project.value(None).is_dir():
        there = [0, *(lap for lap in there if lap)]
    others = " or ".join(f"--iteration={lap}" for lap in there)
    train = f"`recap train-value --project={config.project} --iteration={config.iteration}`"
    if config.iteration == 0:
        train = f"`recap pretrain --project={config.project}`"
    hint = f" Or look at one that is there: {others}." if others else ""
    return f"There is no value model in {folder}. Train it with {train}.{hint}"


def _to_rerun(view: "EpisodeView", target: str, *, is_one_of_many: bool) -> str:
    from recap.report.config import SPAWN
    from recap.report.value_rerun import show_in_viewer, write_recording

    if target == SPAWN:
        show_in_viewer(view)
        return target
    path = Path(target)
    if is_one_of_many:
        path = path.with_stem(f"{path.stem}-{view.uid}")
    with whole_file(path) as unfinished:
        write_recording(view, unfinished)
    return str(path)


def _plain(view: "EpisodeView") -> dict[str, Any]:
    return {
        "task": view.task,
        "outcome": None if view.outcome is None else view.outcome.value,
        "frames": len(view),
        "error_steps": view.error_steps,
    }

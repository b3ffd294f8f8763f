"""Make the pictures of docs/label.md: the form and the dashboard of a project, in a real Chromium.

The project that is named stays as it is: its episodes and laps are copied (as hard links), three
made-up people judge the copy by what the simulator measured, not always agreeing, and the pictures
are taken of it. Without a project, demonstrations of the demo's arm are recorded first.
"""

import argparse
import io
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from draccus import cfgparsing
from PIL import Image
from playwright.sync_api import Browser, Page
from small_browser import browser, go_to_frame, sit_down
from small_form import Form, form_of, wait_until_indexed
from small_project import demonstrate

from data.episodes import EpisodeStore, layout_of_episode
from data.files import write_json_atomically
from data.outcomes import OutcomeStore
from data.schema import EpisodeInfo, Outcome
from data.verdicts import SIMULATOR
from recap.project import SETTINGS_FILE, Project

PICTURES: Final = Path("docs/pictures")
MOST_BYTES: Final = 150_000
COLOURS: Final = 256
CRITERIA: Final = {
    "on_the_pad": "Does the cube lie on the pad as a whole?",
    "right_cube": "Is it the cube that was asked for?",
    "let_go": "Has the gripper let go of it?",
}
MOST_JUDGED: Final = 0.7  # of the attempts that were flown
DESKTOP: Final = {"width": 1360, "height": 850}
PHONE: Final = {"width": 390, "height": 844}
DASHBOARD: Final = {"width": 1200, "height": 1560}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture to take."""

    name: str
    path: str
    device: Mapping[str, Any]
    keys: tuple[str, ...] = ()


def main() -> int:
    """Take every picture and say how large it is."""
    arguments = _arguments()
    arguments.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="label-pictures-") as name:
        source = arguments.project
        if source is None:
            source = Path(name) / "demo"
            demonstrate(source, episodes=12)
        project = _copy(source, Path(name) / "tabletop")
        unjudged = _judge(project)
        uid = _most_telling(unjudged)
        with form_of(project.folder) as form, browser() as opened:
            wait_until_indexed(form, episodes=len(unjudged))
            for shot in _shots(uid):
                path = arguments.to / f"label-{shot.name}.png"
                size = _keep(_take(opened, form, shot), path)
                sys.stdout.write(f"{path}  {size / 1000:.0f} kB\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, help="a project with laps of RECAP")
    parser.add_argument("--to", type=Path, default=PICTURES, help="where the pictures go")
    return parser.parse_args()


def _copy(source: Path, folder: Path) -> Project:
    settings = cfgparsing.load_config((source / SETTINGS_FILE).read_text(encoding="utf-8"))
    settings["label"] = {"rater": "people", "rule": "majority", "criteria": CRITERIA}
    project = Project.create(folder, settings)
    old = Project(source)
    first = next(path for path in sorted(old.episodes.iterdir()) if path.name[0] != ".")
    write_json_atomically(project.layout, layout_of_episode(first).to_json())
    hidden = shutil.ignore_patterns(".*")
    shutil.copytree(old.episodes, project.episodes, copy_function=_link, ignore=hidden)
    laps = Path("iterations")
    shutil.copytree(source / laps, folder / laps, copy_function=_link, ignore=hidden)
    return project


def _link(source: str, destination: str) -> None:
    # Another disk knows no hard links to this one.
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy(source, destination)


def _judge(project: Project) -> list[EpisodeInfo]:
    """Let three people judge most attempts, one in fifteen of them otherwise than the others.

    Returns:
        The attempts that nobody has judged.
    """
    chance = random.Random(0)  # noqa: S311 - nothing secret
    any_episode = next(path for path in project.episodes.iterdir() if path.name[0] != ".")
    infos = EpisodeStore(project.episodes, layout_of_episode(any_episode)).infos()
    newest = max(info.iteration for info in infos)
    store = OutcomeStore(project.outcomes)
    measured = [
        (info.uid, Outcome.SUCCESS if info.measured_success else Outcome.FAILURE)
        for info in infos
        if info.iteration == 0 and newest > 0
    ]
    store.judge_many(measured, rater=SIMULATOR)
    flown = [info for info in infos if info.iteration > 0 or newest == 0]
    for rater, share in (("Ann", MOST_JUDGED), ("Ben", 0.6), ("Carla", 0.2)):
        verdicts = []
        for info in flown[: int(len(flown) * share)]:
            is_success = bool(info.measured_success) ^ (chance.random() < 1 / 15)
            verdicts.append((info.uid, Outcome.SUCCESS if is_success else Outcome.FAILURE))
        store.judge_many(verdicts, rater=rater)
    store.close()
    return flown[int(len(flown) * MOST_JUDGED) :]


def _most_telling(infos: list[EpisodeInfo]) -> str:
    """The attempt in which somebody took over for the longest time."""
    return max(infos, key=lambda info: (info.corrected_frames, info.frames)).uid


def _shots(uid: str) -> list[Shot]:
    desktop, form = {"viewport": DESKTOP}, f"/label/{uid}"
    phone = {"viewport": PHONE, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
    light, dark = ({"color_scheme": scheme} for scheme in ("light", "dark"))
    return [
        Shot(name="desktop", path=form, device={**desktop, **dark}, keys=("1", "2")),
        Shot(name="light", path=form, device={**desktop, **light}, keys=("1", "2")),
        Shot(name="help", path=form, device={**desktop, **dark}, keys=("?",)),
        Shot(name="phone", path=form, device={**phone, **dark}),
        Shot(name="dashboard", path="/", device={"viewport": DASHBOARD, **light}),
    ]


def _take(opened: Browser, form: Form, shot: Shot) -> bytes:
    context = opened.new_context(base_url=form.address, **shot.device)
    try:
        page = context.new_page()
        if shot.path == "/":
            page.goto(shot.path)
            page.wait_for_load_state("networkidle")
            return page.screenshot()
        sit_down(page, "Ann", shot.path)
        _settle(page)
        for key in shot.keys:
            page.keyboard.press(key)
        return page.screenshot()
    finally:
        context.close()


def _settle(page: Page) -> None:
    """Stand still where the attempt is half over, with everything drawn."""
    frames = int(page.locator("#timeline").get_attribute("aria-valuemax") or 0)
    go_to_frame(page, frames * 6 // 10)
    page.locator("#timeline").evaluate("one => one.blur()")
    page.wait_for_load_state("networkidle")


def _keep(png: bytes, path: Path) -> int:
    """Write a picture with few colours, which drawn pages hardly show, and return its bytes."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        message = f"{path} has {size} bytes, more than {MOST_BYTES}: take a smaller picture"
        raise RuntimeError(message)
    return size


if __name__ == "__main__":
    sys.exit(main())

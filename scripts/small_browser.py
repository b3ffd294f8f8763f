"""What the scripts about the form share: a Chromium, somebody before it, and how long they wait."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright
from small_form import Form

CHROMIUMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS: Final = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

# Notes the moment of a key, and then of the first picture of the episode that comes next: when the
# last of its cameras was handed to the screen for the first time since.
STOPWATCH: Final = """() => {
    const player = document.querySelector("#player");
    window.stopwatch = null;
    addEventListener("keydown", (event) => {
        const [pressed, before] = [event.timeStamp, player.dataset.uid];
        window.stopwatch = null;
        const look = () => {
            const shown = player.querySelector(".stage.is-shown");
            if (!shown || player.dataset.uid === before) return requestAnimationFrame(look);
            const seen = [...shown.querySelectorAll("video")].map((video) => new Promise(
                (resolve) => video.requestVideoFrameCallback((now) => resolve(now))));
            return Promise.all(seen).then((moments) => {
                window.stopwatch = Math.max(...moments) - pressed;
            });
        };
        requestAnimationFrame(look);
    }, { capture: true });
}"""


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the Chromium of this machine without a window, or the one Playwright installed."""
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=flags)
        try:
            yield started
        finally:
            started.close()


def sit_down(page: Page, rater: str, path: str = "/label") -> None:
    """Open the form, say a name, and wait until an episode is on the screen."""
    page.goto(path)
    page.locator("#rater-name").fill(rater)
    page.locator("#rater-name").press("Enter")
    page.locator("#player[data-ready='true']").wait_for()


def go_to_frame(page: Page, frame: int) -> None:
    """Show one frame of the episode on the screen, and stay there."""
    page.keyboard.press("Escape")
    page.locator("#timeline").press("Home")
    page.locator("#player[data-frame='0']").wait_for()
    for _ in range(frame // 10):
        page.keyboard.press("Shift+ArrowRight")
    for _ in range(frame % 10):
        page.keyboard.press("ArrowRight")
    page.locator(f"#player[data-frame='{frame}']").wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.stage.is-shown video')].every(v => !v.seeking)"
    )


def first_frames_ms(
    opened: Browser, form: Form, *, rater: str, episodes: int, look_s: float
) -> list[float]:
    """Judge episodes by keys and say how long each time the next one's first picture took.

    Args:
        opened: A browser.
        form: The form.
        rater: Who judges.
        episodes: How many to judge.
        look_s: Seconds for which the person looks at each before the key is pressed.

    Returns:
        Milliseconds from the key to the moment at which every camera of the next episode showed a
        picture.
    """
    context = opened.new_context(base_url=form.address)
    page = context.new_page()
    try:
        sit_down(page, rater)
        page.evaluate(STOPWATCH)
        taken = []
        for number in range(episodes):
            page.wait_for_timeout(1000 * look_s)
            page.keyboard.press("sf"[number % 2])
            page.wait_for_function("() => window.stopwatch !== null")
            taken.append(float(page.evaluate("() => window.stopwatch")))
    finally:
        context.close()
    return taken

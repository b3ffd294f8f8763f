"""The pictures of all cameras in a real Chromium: in step, and exactly the frame asked for.

The square of these projects moves by a known number of pixels, so a frame can be told from what is
drawn: at frame ``f`` of 24 its left edge is at ``2 + 80 f // 24`` before the front camera, which is
96 pixels wide, and at ``2 + 48 f // 24`` before the one on the wrist, which is 64 pixels wide.
"""

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FRAMES = 24
LONG = 400  # frames; 20 s at 1x, 5 s at 4x

EDGE = """camera => {
    const video = document.querySelector(`.stage.is-shown video[data-camera='${camera}']`);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    const row = context.getImageData(0, 26, canvas.width, 1).data;
    for (let x = 0; x < canvas.width; x++) if (row[4 * x + 1] < 150) return x;
    return -1;
}"""

# Which frame each camera shows, as of the same moment: what was last handed to the compositor.
FRAMES_SHOWN = """() => {
    window.framesShown = {};
    for (const video of document.querySelectorAll(".stage.is-shown video[data-camera]")) {
        const note = (_, about) => {
            window.framesShown[video.dataset.camera] = about.mediaTime;
            video.requestVideoFrameCallback(note);
        };
        video.requestVideoFrameCallback(note);
    }
}"""


def edge(frame, *, width):
    return 2 + (width - 16) * frame // FRAMES


def wait_for_frame(page, frame):
    """Wait until the player says a frame, and every camera shows its pixels."""
    page.locator(f"#player[data-frame='{frame}']").wait_for()
    for camera, width in (("front", 96), ("wrist", 64)):
        page.wait_for_function(
            f"([camera, left]) => Math.abs(({EDGE})(camera) - left) <= 0",
            arg=[camera, edge(frame, width=width)],
        )


@pytest.fixture(scope="module")
def form(tmp_path_factory, make_project, open_form):
    """A form over three attempts, the last six frames of which are corrections."""
    return open_form(make_project(tmp_path_factory.mktemp("play") / "a", episodes=3, corrected=6))


@pytest.fixture
def page(form, sit_down):
    """Ann before an attempt of 24 frames that stands still at its first one."""
    page = sit_down(form, "Ann").page
    stand_still(page)
    return page


def stand_still(page):
    """Pause, and go to the first frame."""
    page.locator("#player[data-ready='true']").wait_for()
    if page.locator("#player").get_attribute("data-playing") == "true":
        page.keyboard.press("Space")
    page.locator("#player[data-playing='false']").wait_for()
    page.locator("#timeline").press("Home")
    page.locator("#player[data-frame='0']").wait_for()


def test_a_step_shows_exactly_the_next_frame_forward_and_back(page):
    for frame in range(1, FRAMES):
        page.keyboard.press("." if frame % 2 else "ArrowRight")
        wait_for_frame(page, frame)
    page.keyboard.press(".")  # there is no further one
    wait_for_frame(page, FRAMES - 1)
    for frame in reversed(range(FRAMES - 1)):
        page.keyboard.press("," if frame % 2 else "ArrowLeft")
        wait_for_frame(page, frame)
    page.keyboard.press("Shift+ArrowRight")
    wait_for_frame(page, 10)


def test_steps_that_come_faster_than_pictures_all_count(page):
    for _ in range(15):
        page.keyboard.press(".")
    wait_for_frame(page, 15)
    for _ in range(6):
        page.keyboard.press(",")
    wait_for_frame(page, 9)


def test_a_click_into_the_timeline_goes_there(page):
    timeline = page.locator("#timeline")
    box = timeline.bounding_box()
    timeline.click(position={"x": box["width"] * 0.5, "y": box["height"] / 2})
    page.wait_for_function("() => +document.querySelector('#player').dataset.frame > 5")
    frame = int(page.locator("#player").get_attribute("data-frame"))
    assert abs(frame - FRAMES // 2) <= 2
    assert timeline.get_attribute("aria-valuenow") == str(frame)
    wait_for_frame(page, frame)


@pytest.fixture(scope="module")
def long_form(tmp_path_factory, make_project, open_form):
    """A form over one attempt of twenty seconds."""
    project = make_project(tmp_path_factory.mktemp("long") / "a", episodes=1, frames=LONG)
    return open_form(project)


@pytest.mark.parametrize("speed", [1, 4])
def test_all_cameras_stay_in_step_while_they_play(long_form, sit_down, speed):
    page = sit_down(long_form, "Ann").page
    stand_still(page)
    for _ in range(8):
        page.keyboard.press("-")
    for _ in range({1: 1, 4: 3}[speed]):
        page.keyboard.press("+")
    page.evaluate(FRAMES_SHOWN)
    page.keyboard.press("Space")
    page.wait_for_function(
        "seconds => Object.values(window.framesShown).some(time => time >= seconds)",
        arg=2 * speed,
    )
    times = page.evaluate("() => window.framesShown")
    rates = page.evaluate(
        "() => [...document.querySelectorAll('.stage.is-shown video[data-camera]')]"
        ".map(video => video.playbackRate)"
    )
    assert set(times) == {"front", "wrist"}
    assert abs(times["front"] - times["wrist"]) * 20 <= 1.01
    # A player may nudge one camera to catch up with another.
    assert all(abs(rate - speed) <= 0.2 * speed for rate in rates)


def test_an_attempt_plays_again_and_again_when_it_loops(page):
    loop = page.locator("#loop")
    if loop.get_attribute("aria-pressed") != "true":
        page.keyboard.press("l")
    assert loop.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    for _ in range(2):
        page.wait_for_function("() => +document.querySelector('#player').dataset.frame >= 18")
        page.wait_for_function("() => +document.querySelector('#player').dataset.frame <= 8")


def test_the_moment_of_success_is_the_frame_on_the_screen(page, form):
    for _ in range(17):
        page.keyboard.press(".")
    wait_for_frame(page, 17)
    uid = page.locator("#player").get_attribute("data-uid")
    page.keyboard.press("m")
    page.keyboard.press("s")
    page.locator("#status", has_text=re.compile("Saved")).wait_for()
    (line,) = form.judgements()
    assert (line.episode_uid, line.success_frame) == (uid, 17)

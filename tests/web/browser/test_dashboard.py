"""The dashboard in a real Chromium: its numbers, its links, and that it keeps up by itself."""

import shutil
from contextlib import closing

import pytest
from playwright.sync_api import expect

from data.files import write_json_atomically
from data.outcomes import OutcomeStore
from data.schema import Outcome
from recap.project import Project
from recap.web.schemas import OutcomeFilter

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
SUMMARY = {
    "n": 200,
    "success": [0.55, 0.62, 0.68],
    "successes_per_hour": [500.0, 581.0, 668.0],
    "median_steps_to_success": 62.0,
}
METRICS = {
    "held_out": {"cross_entropy": 4.5, "mae_steps": 27.2, "auc_50": 0.643, "auc_75": 0.861},
    "train": {"auc_50": 0.72},
    "overfitting_gap": 0.148,
    "held_out_episodes": 50,
}


@pytest.fixture(scope="module")
def laps(tmp_path_factory, make_project, add_episodes):
    """A finished lap of six attempts, five of which succeeded; and four attempts of the next."""
    project = make_project(tmp_path_factory.mktemp("laps") / "square", episodes=6)
    with closing(OutcomeStore(project.outcomes)) as store:
        for number in range(6):
            verdict = Outcome.SUCCESS if number else Outcome.FAILURE
            store.judge(f"rollout-01-{number:08d}", verdict, rater="Ann")
    write_json_atomically(project.evaluation(1), {"summary": SUMMARY})
    write_json_atomically(project.value(1) / "metrics.json", METRICS)
    project.report(1).write_text("<!doctype html><p>All of iteration 1</p>")
    add_episodes(project, range(10, 14), iteration=2, corrected=6)
    return project


@pytest.fixture(scope="module")
def form(laps, open_form):
    return open_form(laps)


@pytest.fixture
def page(form, sit_down):
    """The dashboard, with its numbers on it; nobody has said a name, as none is needed."""
    page = sit_down(form, "", path="/").page
    page.locator("#numbers").wait_for()
    page.locator("#lead", has_text="10 attempts.").wait_for()
    return page


def headlines(page):
    """What the large numbers say: words to number."""
    cards = page.locator("#headlines .card").all()
    return {
        card.locator(".what").inner_text(): card.locator("strong").inner_text() for card in cards
    }


def is_wider_than_the_screen(page):
    return page.evaluate("() => document.documentElement.scrollWidth > window.innerWidth")


def test_the_numbers_of_two_laps_can_be_read(page):
    assert page.locator("h1").inner_text() == "square"
    assert page.locator("#lead").inner_text() == (
        "10 attempts. 6 are decided, 4 wait for a verdict."
    )
    assert headlines(page) == {
        "success": "62\u202f%",
        "successes an hour": "581",
        "of attempts corrected": "100\u202f%",
        "wait for a verdict": "4",
    }
    newest, first = page.locator("#laps tbody tr").all()
    assert newest.inner_text().split()[:3] == ["2", "4", "4"]
    # Five of six succeeded; Wilson: 44 % to 97 %.
    assert "83\u202f%" in first.inner_text()
    assert "44\u201397\u202f%" in first.inner_text()
    assert "Tells successes from failures halfway" in page.locator("#value-cards").inner_text()
    assert page.locator("#lap-charts svg").count() == 2
    # Ann alone has judged, so others are sent where they find what she judged.
    second = page.locator("#judging a", has_text="Not judged by you")
    assert second.get_attribute("href") == f"/label?show={OutcomeFilter.NOT_YOURS}"
    assert page.locator("#judge").inner_text() == "Judge attempts"


def test_the_first_step_leads_to_the_unjudged_attempts(page):
    step = page.locator("#steps a").first
    assert step.inner_text() == "4 attempts of iteration 2 wait for a verdict."
    step.click()
    page.locator("#rater-name").fill("Ann")
    page.locator("#rater-name").press("Enter")
    page.locator("#player[data-ready='true']").wait_for()
    rows = page.locator("#queue [data-uid]")
    # The attempt that was asked for is shown before the list has come.
    expect(rows).to_have_count(4)
    assert [row.get_attribute("data-uid") for row in rows.all()] == [
        f"rollout-02-{number:08d}" for number in range(10, 14)
    ]
    page.locator(".places a", has_text="Dashboard").click()
    page.locator("#numbers").wait_for()


def test_a_verdict_that_is_given_elsewhere_appears_without_a_reload(
    laps, tmp_path, open_form, sit_down
):
    form = open_form(Project(shutil.copytree(laps.folder, tmp_path / "square")))
    page = sit_down(form, "", path="/").page
    page.locator("#lead", has_text="6 are decided, 4 wait for a verdict.").wait_for()
    page.evaluate("() => { window.wasNotLoadedAgain = true; }")
    with closing(OutcomeStore(form.project.outcomes)) as store:
        store.judge("rollout-02-00000010", Outcome.SUCCESS, rater="Ben")
        store.judge("rollout-01-00000001", Outcome.FAILURE, rater="Ben")
    page.locator("#lead", has_text="7 are decided, 3 wait for a verdict.").wait_for()
    assert headlines(page)["wait for a verdict"] == "3"
    page.locator("#disputes", has_text="rollout-01-00000001").wait_for()
    assert page.evaluate("() => window.wasNotLoadedAgain")


def test_a_report_opens_from_its_lap(page):
    page.locator("#laps a", has_text="Report").click()
    page.get_by_text("All of iteration 1").wait_for()


def test_a_phone_shows_all_of_it_without_scrolling_sideways(form, sit_down):
    page = sit_down(form, "", path="/", **PHONE).page
    page.locator("#lead", has_text="10 attempts.").wait_for()
    assert not is_wider_than_the_screen(page)
    page.locator("#values-section summary").tap()
    page.locator("#values").wait_for()
    assert not is_wider_than_the_screen(page)
    assert headlines(page)["wait for a verdict"] == "4"

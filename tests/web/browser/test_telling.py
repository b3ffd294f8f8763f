"""What the form tells and offers, in a real Chromium: in a narrow window, elsewhere, at the end."""

import shutil

import pytest

from data.outcomes import OutcomeStore
from data.schema import Outcome
from recap.project import Project

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
ON_ITS_SIDE = PHONE | {"viewport": {"width": 844, "height": 390}}
CRITERIA = {"upright": "Does the cube stand upright?"}


@pytest.fixture
def form(project, open_form):
    return open_form(project)


def judge_elsewhere(project, uids, rater, verdict=Outcome.SUCCESS):
    store = OutcomeStore(project.outcomes)
    for uid in uids:
        store.judge(uid, verdict, rater=rater)
    store.close()


def uids_of(project):
    return sorted(path.name for path in project.episodes.glob("rollout-*"))


def test_a_phone_shows_every_sentence_in_full_above_the_buttons(
    tmp_path, make_project, open_form, sit_down
):
    settings = {"label": {"criteria": CRITERIA}}
    form = open_form(make_project(tmp_path / "square", episodes=4, settings=settings))
    ann = sit_down(form, "Ann", **PHONE)
    page, status = ann.page, ann.page.locator("#status")
    page.get_by_label(CRITERIA["upright"]).check()
    page.locator("button[data-verdict=failure]").tap()
    for sentence in ("The ticks make a success. Untick what was not met", "Saved: success"):
        page.locator("#status", has_text=sentence).wait_for()
        box = status.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= page.locator("#verdicts").bounding_box()["y"]
        assert status.evaluate(
            "one => one.scrollWidth <= one.clientWidth && one.scrollHeight <= one.clientHeight"
        )
        page.locator("button[data-verdict=success]").tap()


def test_a_long_name_leaves_the_help_in_its_line(form, sit_down):
    ann = sit_down(form, "Dimitri Konstantinopoulos", **PHONE)
    tops = [ann.page.locator(one).bounding_box()["y"] for one in ("#rater", "#help-open")]
    assert tops[0] == tops[1]
    ann.page.locator("#help-open").tap()
    assert ann.page.locator("#help").evaluate("one => one.scrollTop") == 0
    assert ann.page.locator("#help-title").bounding_box()["y"] > 0


def test_a_phone_on_its_side_shows_cameras_and_all_buttons_in_one_row(form, sit_down):
    ann = sit_down(form, "Ann", **ON_ITS_SIDE)
    row = ann.page.locator("#verdicts")
    tops = row.locator("button").evaluate_all("all => all.map(one => one.offsetTop)")
    top = row.bounding_box()["y"]
    assert top > 390 - 80
    heights = row.locator("button").evaluate_all("all => all.map(one => one.offsetHeight)")
    middles = {
        round(one.bounding_box()["y"] + one.bounding_box()["height"] / 2)
        for one in row.locator("button").all()
    }
    assert (len(tops), len(middles)) == (6, 1)
    assert min(heights) >= 44
    for camera in ann.page.locator(".stage.is-shown .screen").all():
        box = camera.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= top
        assert box["height"] > 120


def test_a_new_token_is_asked_for_in_words(project, open_form, chromium, monkeypatch):
    monkeypatch.setenv("RECAP_FORM_TOKEN", "the-first-token-of-two")
    form = open_form(project, "--host=0.0.0.0")
    context = chromium.new_context(base_url=form.address)
    page = context.new_page()
    page.goto("/label?token=the-first-token-of-two")
    page.locator("#rater-name").fill("Ann")
    page.locator("#rater-name").press("Enter")
    page.locator("#player[data-ready='true']").wait_for()
    form.stop()
    monkeypatch.setenv("RECAP_FORM_TOKEN", "the-second-token-of-two")
    form.start()
    away = page.locator("#away", has_text="Needs the new link that recap label printed")
    away.wait_for()
    page.keyboard.press("s")
    page.locator("#waiting", has_text="1 waiting").wait_for()
    other = context.new_page()
    other.goto("/label?token=the-second-token-of-two")
    page.locator("#away").wait_for(state="hidden")
    page.locator("#progress-text", has_text="1 of 6 judged").wait_for()
    context.close()
    assert len(form.judgements()) == 1


def test_undo_in_another_browser_takes_the_newest_verdicts_back(form, sit_down):
    first, second, *_ = uids_of(form.project)
    judge_elsewhere(form.project, [first, second], "Ann")
    ann = sit_down(form, "Ann")
    ann.press("u")
    ann.wait_for(second)
    ann.page.locator("#status", has_text="Withdrawn: success").wait_for()
    ann.press("u")
    ann.wait_for(first)
    ann.wait_until_nothing_waits()
    lines = form.judgements()
    assert [line.withdraws for line in lines[2:]] == [lines[1].id, lines[0].id]
    ann.press("u")
    ann.page.locator("#status", has_text="There is nothing of yours to undo.").wait_for()
    assert len(form.judgements()) == 4


def test_previous_leads_to_what_was_judged_before_the_page_was_opened(form, sit_down):
    first, second, third, *_ = uids_of(form.project)
    judge_elsewhere(form.project, [second, first], "Ann")
    ann = sit_down(form, "Ann")
    assert ann.shown() == third
    for uid in (first, second):
        ann.press("k")
        ann.wait_for(uid)
    ann.press("k")
    ann.page.locator("#status", has_text="This is the first attempt of the list.").wait_for()
    for uid in (first, third):
        ann.press("j")
        ann.wait_for(uid)


def test_previous_at_the_end_leads_to_the_last_one_judged(form, sit_down):
    ann = sit_down(form, "Ann")
    for _ in range(5):
        ann.judge("s")
    last = ann.shown()
    ann.press("f")
    ann.page.locator("#notice-title", has_text="All judged").wait_for()
    ann.press("k")
    ann.wait_for(last)


def test_who_finds_everything_decided_is_told_by_whom_and_offered_it(form, sit_down):
    *measured, said = uids_of(form.project)
    judge_elsewhere(form.project, measured, "simulator")
    judge_elsewhere(form.project, [said], "Ben")
    ann = sit_down(form, "")
    ann.page.locator("#rater-name").fill("Ann")
    ann.page.locator("#rater-name").press("Enter")
    ann.page.locator("#notice-title", has_text="Nothing to judge for you").wait_for()
    told = ann.page.locator("#notice-text").inner_text()
    assert told == "6 attempts are decided: 5 by the simulator, 1 by people."
    ann.page.get_by_role("button", name="Show what you have not judged").click()
    ann.wait_for_another()
    for _ in range(5):
        ann.judge("f")
    ann.press("f")
    ann.page.locator("#notice-title", has_text="All judged").wait_for()
    ann.wait_until_nothing_waits()
    assert sum(line.rater == "Ann" for line in form.judgements()) == 6


def test_another_project_at_the_same_place_begins_with_its_own_first_attempt(
    form, sit_down, tmp_path, make_project
):
    ann = sit_down(form, "Ann", is_server_away_at_times=True)
    form.kill()
    form.project.folder.rename(tmp_path / "away")
    make_project(tmp_path / "other", episodes=2, iteration=3).folder.rename(form.project.folder)
    form.start()
    ann.page.wait_for_function(
        "() => document.querySelector('#player').dataset.uid.startsWith('rollout-03-')"
    )
    shutil.rmtree(tmp_path / "away")
    assert Project(form.project.folder).episodes.exists()


def test_what_the_browser_cannot_keep_is_told(form, sit_down):
    ann = sit_down(form, "Ann", is_server_away_at_times=True)
    ann.page.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full'); }; }")
    form.kill()
    ann.press("s")
    ann.page.locator("#waiting", has_text="1 waiting, lost if you close this page").wait_for()
    form.start()
    ann.page.locator("#away").wait_for(state="hidden")
    assert len(form.judgements()) == 1

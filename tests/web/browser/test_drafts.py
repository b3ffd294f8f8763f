"""What is half said, in a real Chromium: it outlives a look elsewhere and a server's refusal."""

import json

import pytest

from data.schema import Outcome
from recap.project import SETTINGS_FILE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

UPRIGHT = {"upright": "Does the cube stand upright?", "centred": "Is it on the pad?"}
CENTRED = {"centred": "Is it in the middle of the pad?"}


@pytest.fixture
def form(project, open_form):
    return open_form(project)


@pytest.fixture
def checked(tmp_path, make_project, open_form):
    """A form with a checklist over four attempts."""
    settings = {"label": {"criteria": UPRIGHT}}
    return open_form(make_project(tmp_path / "square", episodes=4, settings=settings))


@pytest.fixture
def page_of(chromium):
    """Open pages that may be refused something, which a browser complains of."""
    contexts = []

    def opened(form, rater):
        contexts.append(chromium.new_context(base_url=form.address))
        contexts[-1].set_default_timeout(10_000)
        page = contexts[-1].new_page()
        page.goto("/label")
        page.locator("#rater-name").fill(rater)
        page.locator("#rater-name").press("Enter")
        page.locator("#player[data-ready='true']").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()


def rewrite_checklist(project, criteria):
    # JSON is YAML, too.
    settings = json.dumps({"label": {"criteria": criteria}})
    (project.folder / SETTINGS_FILE).write_text(settings)


def ticks(page):
    return page.locator("#criteria input").evaluate_all("all => all.map(one => one.checked)")


def drafts(page):
    return page.evaluate("() => Object.keys(sessionStorage).filter(k => k.includes('draft'))")


def test_ticks_note_and_moment_are_there_again_after_a_look_at_the_next_attempt(checked, sit_down):
    ann = sit_down(checked, "Ann")
    page, first = ann.page, ann.shown()
    ann.press("2", "m", "n")
    page.keyboard.type("half of it")
    ann.press("Escape")
    moment = page.locator("#moment-shown").inner_text()
    assert moment.startswith("Success at")
    ann.press("j")
    ann.wait_for_another(first)
    assert (ticks(page), page.locator("#note").input_value()) == ([False, False], "")
    assert page.locator("#moment-shown").inner_text() == "Mark moment of success"
    assert len(drafts(page)) == 1
    ann.press("k")
    ann.wait_for(first)
    assert (ticks(page), page.locator("#note").input_value()) == ([False, True], "half of it")
    assert page.locator("#moment-shown").inner_text() == moment
    ann.press("1")
    ann.judge("Enter")
    ann.wait_until_nothing_waits()
    assert drafts(page) == []
    [line] = checked.judgements()
    assert (line.verdict, line.note) == (Outcome.SUCCESS, "half of it")
    assert line.success_frame is not None


def test_what_is_changed_back_is_no_draft(checked, sit_down):
    ann = sit_down(checked, "Ann")
    ann.press("2", "2", "n", "a", "Backspace")
    assert drafts(ann.page) == []


def test_an_undone_verdict_gives_its_note_back(form, sit_down):
    ann = sit_down(form, "Ann")
    first = ann.shown()
    ann.press("n")
    ann.page.keyboard.type("slipped")
    ann.press("Escape")
    ann.judge("f")
    ann.wait_until_nothing_waits()
    ann.press("u")
    ann.wait_for(first)
    ann.wait_until_nothing_waits()
    ann.page.locator("#history", has_text="took back failure").wait_for()
    assert ann.page.locator("#note").input_value() == "slipped"


def test_another_frame_moves_the_moment_and_the_same_one_clears_it(form, sit_down):
    ann = sit_down(form, "Ann")
    page = ann.page
    page.locator("#timeline").focus()
    ann.press("Home")
    page.wait_for_function("() => document.querySelector('#player').dataset.frame === '0'")
    shown = page.locator("#moment-shown")
    ann.press("m")
    assert "frame 1" in shown.inner_text()
    ann.press(".")
    page.wait_for_function("() => document.querySelector('#player').dataset.frame === '1'")
    ann.press("m")
    assert "frame 2" in shown.inner_text()
    ann.press("m")
    assert shown.inner_text() == "Mark moment of success"


def test_the_tab_key_leads_from_the_note_to_the_verdicts(form, sit_down):
    ann = sit_down(form, "Ann")
    first = ann.shown()
    ann.press("n")
    ann.page.keyboard.type("fine")
    ann.press("Tab")
    assert ann.page.evaluate("() => document.activeElement.dataset.verdict") == "success"
    ann.press("s")
    ann.wait_for_another(first)
    ann.wait_until_nothing_waits()
    assert ann.page.locator("#filter-show").input_value() == "unjudged"
    assert [(line.verdict, line.note) for line in form.judgements()] == [(Outcome.SUCCESS, "fine")]


def test_a_verdict_that_another_checklist_refuses_gives_its_note_back(checked, page_of):
    page = page_of(checked, "Ann")
    first = page.locator("#player").get_attribute("data-uid")
    # The page does not hear of the new checklist before its verdict is refused.
    page.route("**/api/progress*", lambda route: route.abort())
    page.keyboard.press("n")
    page.keyboard.type("knocked over")
    page.keyboard.press("Escape")
    checked.stop()
    rewrite_checklist(checked.project, CENTRED)
    checked.start()
    page.keyboard.press("Enter")
    page.unroute("**/api/progress*")
    page.locator("#alert", has_text="The checklist is another one").wait_for()
    page.get_by_label(CENTRED["centred"]).wait_for()
    page.locator("#alert-show").click()
    page.locator(f"#player[data-uid='{first}'][data-ready='true']").wait_for()
    assert page.locator("#note").input_value() == "knocked over"
    assert checked.judgements() == []
    # What was warned of is settled by the next verdict of that attempt.
    page.evaluate("() => { document.querySelector('#alert').hidden = false; }")
    page.keyboard.press("f")
    page.locator("#alert").wait_for(state="hidden")
    page.locator("#status", has_text="Saved: failure").wait_for()
    assert [line.note for line in checked.judgements()] == ["knocked over"]


def test_another_checklist_is_seen_by_who_was_not_looking(checked, page_of):
    page = page_of(checked, "Ann")
    # The restart falls between two questions, so that none goes unanswered.
    page.route("**/api/progress*", lambda route: None)
    checked.stop()
    rewrite_checklist(checked.project, CENTRED)
    checked.start()
    page.unroute("**/api/progress*")
    page.get_by_label(CENTRED["centred"]).wait_for(timeout=20_000)


def test_a_name_that_the_page_would_take_and_the_server_would_not_is_refused_at_once(
    form, sit_down
):
    page = sit_down(form, "").page
    for name, why in (
        ("Anna\u00b2", "Use letters"),
        ("\uff53\uff49\uff4d\uff55\uff4c\uff41\uff54\uff4f\uff52", "belongs to the simulator"),
    ):
        page.locator("#rater-name").fill(name)
        page.locator("#rater-name").press("Enter")
        page.locator("#rater-problem", has_text=why).wait_for()
    page.locator("#rater-name").fill("Ang\u00e9lica \u0141. O'Neil_2")
    page.locator("#rater-name").press("Enter")
    page.locator("#player[data-ready='true']").wait_for()


def test_a_name_that_the_server_refuses_is_asked_for_again_in_its_words(form, page_of):
    page = page_of(form, "Ann")
    refused = {"status": 422, "json": {"detail": "rater: Ann has left; type your own."}}
    page.route("**/api/progress?rater=Ann", lambda route: route.fulfill(**refused))
    page.locator("#who[open]").wait_for()
    page.locator("#rater-problem", has_text="Ann has left; type your own.").wait_for()
    assert page.locator("#rater-name").input_value() == "Ann"
    assert page.locator("#away").is_hidden()
    page.locator("#rater-name").fill("Ben")
    page.locator("#rater-name").press("Enter")
    page.locator("#rater-shown", has_text="Ben").wait_for()
    page.locator("#player[data-ready='true']").wait_for()
    page.keyboard.press("s")
    page.locator("#status", has_text="Saved: success").wait_for()
    assert [line.rater for line in form.judgements()] == ["Ben"]

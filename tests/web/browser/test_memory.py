"""What a browser remembers, in a real Chromium: for how long, and of which project."""

import shutil

import numpy as np
import pandas as pd
import pytest

from data.annotations import SCHEMA, AdvantageTable
from data.schema import Indicator, Outcome
from recap.project import Project

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FRAMES = 24
PREDICTED = ("#timeline-value", "#timeline-signs")


@pytest.fixture
def form(project, open_form):
    return open_form(project)


def mark(project):
    """Mark every frame of the project's attempts."""
    uids = sorted(path.name for path in project.episodes.glob("rollout-*"))
    rows = np.arange(FRAMES * len(uids))
    content = {
        "episode_uid": np.repeat(uids, FRAMES),
        "frame_index": rows % FRAMES,
        "index": rows,
        "return": np.zeros(len(rows)),
        "value": -(rows % FRAMES) / FRAMES,
        "advantage": np.full(len(rows), 0.25),
        "indicator": np.full(len(rows), Indicator.POSITIVE),
        "is_correction": np.zeros(len(rows), dtype=bool),
    }
    AdvantageTable(
        frames=pd.DataFrame(content)[SCHEMA.names],
        thresholds={},
        trainset_fingerprint="",
        value_fingerprint="",
        settings={},
    ).save(project.advantages(1))


def load_again(person, uid):
    person.page.reload()
    person.page.locator(f"#player[data-uid='{uid}'][data-ready='true']").wait_for()


def test_a_note_that_is_being_written_survives_a_reload_until_its_verdict_is_given(form, sit_down):
    ann = sit_down(form, "Ann")
    first = ann.shown()
    ann.press("n")
    ann.page.keyboard.type("slipped at the end")
    load_again(ann, first)
    assert ann.page.locator("#note").input_value() == "slipped at the end"
    ann.press("j")  # each attempt has its own
    ann.wait_for_another(first)
    assert ann.page.locator("#note").input_value() == ""
    ann.press("k")
    ann.wait_for(first)
    assert ann.page.locator("#note").input_value() == "slipped at the end"
    ann.judge("f")
    ann.wait_until_nothing_waits()
    assert [line.note for line in form.judgements()] == ["slipped at the end"]
    kept = ann.page.evaluate("() => Object.keys(sessionStorage)")
    assert [key for key in kept if "draft" in key] == []


def test_a_note_is_not_shown_to_the_next_person_at_the_screen(form, sit_down):
    ann = sit_down(form, "Ann")
    first = ann.shown()
    ann.press("n")
    ann.page.keyboard.type("for my eyes only")
    ann.page.locator("#rater").click()
    ann.page.locator("#rater-name").fill("Ben")
    ann.page.locator("#rater-name").press("Enter")
    ann.page.locator("#rater-shown", has_text="Ben").wait_for()
    ann.page.locator(f"#player[data-uid='{first}'][data-ready='true']").wait_for()
    assert ann.page.locator("#note").input_value() == ""


def test_predictions_are_hidden_from_who_does_not_want_to_be_swayed(project, form, sit_down):
    mark(project)
    ann = sit_down(form, "Ann")
    uid = ann.shown()
    page, choice = ann.page, ann.page.get_by_label("Show predictions")
    for part in PREDICTED:
        page.locator(part).wait_for()
    assert choice.is_checked()
    assert "advantage +0.250, positive" in page.locator("#readout").inner_text()
    for hide in (lambda: page.keyboard.press("v"), lambda: load_again(ann, uid)):
        hide()  # and it stays so
        for part in PREDICTED:
            page.locator(part).wait_for(state="hidden")
        assert not choice.is_checked()
        shown = page.locator(".timeline-frame").inner_text()
        for word in ("value", "advantage", "return"):
            assert word not in shown
        assert "advantage" not in page.locator("#timeline").get_attribute("aria-valuetext")
    choice.click()
    page.locator("#timeline-value polyline").wait_for()
    assert "advantage +0.250, positive" in page.locator("#readout").inner_text()


def test_what_waits_for_one_project_is_never_sent_to_another_of_the_same_name_and_place(
    project, form, sit_down, tmp_path, square
):
    ann = sit_down(form, "Ann", is_server_away_at_times=True)
    uid = ann.shown()
    form.kill()
    ann.press("s")
    ann.page.locator("#waiting", has_text="1 waiting").wait_for()

    project.folder.rename(tmp_path / "away")
    shutil.copytree(square.folder, project.folder)  # the same attempts, to the last byte
    ann.page.evaluate("() => { window.isOld = true; }")
    form.start()
    ann.page.wait_for_function("() => !window.isOld")  # it loads the page again by itself
    ann.page.locator("#player[data-ready='true']").wait_for()
    ann.page.locator("#progress-text", has_text="0 of 6 judged").wait_for()
    assert form.judgements() == []

    form.kill()
    project.folder.rename(tmp_path / "other")
    Project((tmp_path / "away").rename(project.folder))
    form.start()
    ann.page.locator("#progress-text", has_text="1 of 6 judged").wait_for()
    assert [(line.episode_uid, line.verdict) for line in form.judgements()] == [
        (uid, Outcome.SUCCESS)
    ]


def test_a_verdict_that_reaches_another_project_than_it_was_given_in_is_not_taken(
    project, form, sit_down, tmp_path, square
):
    ann = sit_down(form, "Ann", is_server_away_at_times=True)
    uid = ann.shown()
    # The page does not notice that another project has taken the place.
    ann.page.route("**/api/progress*", lambda route: route.abort())
    form.kill()
    project.folder.rename(tmp_path / "away")
    shutil.copytree(square.folder, project.folder)
    form.start()
    ann.page.unroute("**/api/progress*")
    with ann.page.expect_response(lambda answer: "verdicts" in answer.url) as answered:
        ann.page.keyboard.press("s")
    assert answered.value.status == 421
    ann.page.locator("#progress-text", has_text="0 of 6 judged").wait_for()
    assert form.judgements() == []
    kept = ann.page.evaluate(
        "() => Object.keys(localStorage).filter((k) => k.includes('waiting/'))"
    )
    assert len(kept) == 1
    assert uid in ann.page.evaluate("key => localStorage.getItem(key)", kept[0])

"""What else the form does, in a real Chromium: criteria, notes, help, live collection, a phone."""

import re

import pytest

from data.schema import Outcome

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CRITERIA = {"upright": "Does the cube stand upright?", "centred": "Is it on the pad as a whole?"}
NASTY = '<img src=x onerror="window.wasRun = true"><script>window.wasRun = true</script>'


@pytest.fixture
def form(project, open_form):
    return open_form(project)


def test_a_checklist_becomes_a_verdict_by_the_stated_rule(
    tmp_path, make_project, open_form, sit_down
):
    settings = {"label": {"criteria": CRITERIA}}
    form = open_form(make_project(tmp_path / "square", episodes=4, settings=settings))
    ann = sit_down(form, "Ann")
    for question in CRITERIA.values():
        ann.page.locator("#criteria").get_by_label(question).wait_for()

    first = ann.shown()
    ann.press("2")
    assert ann.page.locator("#criteria input[data-criterion=centred]").is_checked()
    ann.press("Enter")  # one of two: a failure
    ann.wait_for_another(first)
    second = ann.shown()
    ann.press("1")
    ann.press("2")
    ann.press("f")  # contradicts the ticks, and is refused with a sentence
    ann.page.locator(
        "#status", has_text=re.compile("criteri|tick|checklist|success", re.I)
    ).wait_for()
    assert ann.shown() == second
    ann.press("Enter")  # both: a success
    ann.wait_for_another(second)
    third = ann.shown()
    ann.press("s")  # ticks everything
    ann.wait_for_another(third)
    ann.wait_until_nothing_waits()
    assert [(line.episode_uid, line.verdict, line.answers) for line in form.judgements()] == [
        (first, Outcome.FAILURE, {"upright": False, "centred": True}),
        (second, Outcome.SUCCESS, {"upright": True, "centred": True}),
        (third, Outcome.SUCCESS, {"upright": True, "centred": True}),
    ]
    assert len({line.criteria_version for line in form.judgements()} - {""}) == 1


def test_a_script_in_a_note_is_a_text(form, sit_down):
    ann = sit_down(form, "Ann")
    uid = ann.shown()
    ann.press("n")
    ann.page.keyboard.type(NASTY)  # keys are letters while the note has the focus
    assert ann.shown() == uid
    assert ann.page.locator("#note").input_value() == NASTY
    ann.press("Escape")
    ann.press("s")
    ann.wait_for_another(uid)
    ann.wait_until_nothing_waits()

    other = sit_down(form, "Ben", path=f"/label/{uid}")
    other.page.locator("#history", has_text="onerror=").wait_for(state="attached")
    assert other.page.evaluate("() => window.wasRun") is None
    assert ann.page.evaluate("() => window.wasRun") is None
    assert form.judgements()[0].note == NASTY


def test_help_opens_and_closes_and_names_every_key(form, sit_down):
    ann = sit_down(form, "Ann")
    uid = ann.shown()
    ann.press("?")
    help_ = ann.page.locator("#help")
    help_.wait_for(state="visible")
    text = help_.inner_text().lower()
    for word in ("success", "failure", "discard", "undo", "next", "previous", "faster", "play"):
        assert word in text, word
    ann.press("Escape")
    help_.wait_for(state="hidden")
    assert ann.shown() == uid


def test_keys_with_control_alt_or_meta_judge_nothing(form, sit_down):
    ann = sit_down(form, "Ann")
    uid = ann.shown()
    for chord in ("Control+s", "Alt+f", "Meta+x"):
        ann.press(chord)
    ann.press("j")
    ann.wait_for_another(uid)
    ann.press("k")
    ann.page.locator(f"#player[data-uid='{uid}']").wait_for()
    assert form.judgements() == []


def test_attempts_that_are_being_recorded_appear_without_a_reload(
    form, sit_down, project, add_episodes
):
    ann = sit_down(form, "Ann")
    assert ann.page.locator("#queue [data-uid]").count() == 6
    ann.page.evaluate("() => { window.wasNotLoadedAgain = true; }")
    (uid,) = add_episodes(project, [77], iteration=2)
    ann.page.locator(f"#queue [data-uid='{uid}']").wait_for()
    add_episodes(project, [78, 79], iteration=2)
    ann.page.wait_for_function("() => document.querySelectorAll('#queue [data-uid]').length === 9")
    # The newest lap comes first.
    first = ann.page.locator("#queue [data-uid]").first
    assert first.get_attribute("data-uid").startswith("rollout-02-")
    assert ann.page.evaluate("() => window.wasNotLoadedAgain")


def test_a_project_without_attempts_waits_for_the_first(
    tmp_path, make_project, open_form, sit_down, add_episodes
):
    project = make_project(tmp_path / "square")
    ann = sit_down(open_form(project), "", path="/label")
    ann.page.locator("#rater-name").fill("Ann")
    ann.page.locator("#rater-name").press("Enter")
    (uid,) = add_episodes(project, [5])
    ann.page.locator(f"#player[data-uid='{uid}']").wait_for()


def test_a_phone_judges_by_touch(form, sit_down):
    ann = sit_down(
        form,
        "Ann",
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
    )
    assert ann.page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    said = []
    for verdict in ("success", "failure", "discard"):
        uid = ann.shown()
        button = ann.page.locator(f"button[data-verdict={verdict}]")
        box = button.bounding_box()
        assert box["height"] >= 44  # as large as a fingertip
        assert 0 <= box["y"] <= 844 - box["height"], "the verdicts are on the screen"
        button.tap()
        ann.wait_for_another(uid)
        said.append((uid, Outcome(verdict)))
    ann.wait_until_nothing_waits()
    ann.page.locator("#undo").tap()
    ann.page.locator(f"#player[data-uid='{said[-1][0]}']").wait_for()
    ann.wait_until_nothing_waits()
    verdicts = [line for line in form.judgements() if line.verdict is not None]
    assert [(line.episode_uid, line.verdict) for line in verdicts] == said
    assert form.judgements()[-1].withdraws == verdicts[-1].id


def test_a_link_to_an_attempt_leads_there_however_fast_the_name_is_typed(form, sit_down, project):
    *_, last = sorted(path.name for path in project.episodes.glob("rollout-*"))
    ann = sit_down(form, "")
    held = []

    def hold(route):
        if ann.page.locator("#who[open]").count():
            held.append(route)
        else:
            route.continue_()

    ann.page.route("**/api/episodes/*", hold)
    ann.page.goto(f"/label/{last}")
    ann.page.locator("#rater-name").fill("Ann")
    ann.page.locator("#rater-name").press("Enter")
    for route in held:
        route.continue_()
    ann.wait_for_another()
    assert ann.shown() == last


def test_the_printed_link_opens_the_form_once_and_for_all(
    project, open_form, sit_down, monkeypatch
):
    monkeypatch.setenv("RECAP_FORM_TOKEN", "not-easily-guessed")
    form = open_form(project, "--host=0.0.0.0")
    ann = sit_down(form, "Ann", path="/label?token=not-easily-guessed")
    assert "token" not in ann.page.url
    uid = ann.judge("s")
    ann.wait_until_nothing_waits()
    ann.page.goto("/label")  # the browser keeps it
    ann.wait_for_another()
    assert [line.episode_uid for line in form.judgements()] == [uid]
    assert ann.page.context.request.get("/api/project").status == 200
    ann.page.context.clear_cookies()
    assert ann.page.context.request.get("/api/project").status == 401

"""The form without a mouse and without eyes: names, roles, the order of the Tab key."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The controls that can be reached, in the order of the page, each with what a screen reader says.
CONTROLS = """() => [...document.querySelectorAll(
    "button, input, select, textarea, a[href], summary, [role=slider], [tabindex]"
)].filter(one => one.checkVisibility({visibilityProperty: true}) && one.tabIndex >= 0
    && !one.disabled)
    .map(one => one.id || one.dataset.verdict || one.name || one.textContent.trim())"""


@pytest.fixture(scope="module")
def form(tmp_path_factory, make_project, open_form):
    """A form with a checklist over three attempts."""
    settings = {"label": {"criteria": {"upright": "Does the cube stand upright?"}}}
    folder = tmp_path_factory.mktemp("access") / "square"
    return open_form(make_project(folder, episodes=3, settings=settings))


@pytest.fixture
def page(form, sit_down):
    return sit_down(form, "Ann").page


def test_every_control_has_a_name(page):
    # A role without a quoted name is a control that a screen reader cannot name.
    page.keyboard.press("?")
    snapshot = page.locator("body").aria_snapshot()
    page.keyboard.press("Escape")
    snapshot += "\n" + page.locator("body").aria_snapshot()
    roles = ("button", "textbox", "combobox", "checkbox", "slider", "link", "dialog", "listbox")
    lines = [line.strip().removeprefix("- ") for line in snapshot.splitlines()]
    nameless = [
        line
        for line in lines
        if line.split(" ")[0].rstrip(":") in roles and '"' not in line and "/" not in line[:1]
    ]
    assert nameless == []
    for named in ('button "Success', 'button "Failure', 'button "Discard', "slider", "status"):
        assert any(line.startswith(named) for line in lines), named


def test_the_tab_key_reaches_every_control_once_in_the_order_of_the_page(page):
    page.reload()  # so that the first Tab is at the top
    page.locator("#player[data-ready='true']").wait_for()
    expected = page.evaluate(CONTROLS)
    reached = []
    for _ in range(len(expected)):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "() => { const one = document.activeElement; return one.id || one.dataset.verdict"
                " || one.name || one.textContent.trim(); }"
            )
        )
    assert {"undo", "success", "failure", "discard", "timeline", "note"} <= set(reached)
    assert reached == expected


def test_what_happens_is_told_politely(page):
    status = page.locator("#status")
    assert status.get_attribute("role") == "status"
    assert status.get_attribute("aria-live") == "polite"
    timeline = page.locator("#timeline")
    assert timeline.get_attribute("aria-valuemin") == "0"
    assert timeline.get_attribute("aria-valuemax") == "23"
    page.locator("#timeline").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "() => +document.querySelector('#timeline').getAttribute('aria-valuenow') > 0"
    )


def test_a_name_is_asked_for_in_a_dialog_that_keeps_the_focus(form, sit_down):
    page = sit_down(form, "").page
    dialog = page.locator("#who")
    dialog.wait_for()
    assert page.evaluate("() => document.activeElement.id") == "rater-name"
    page.keyboard.press("s")  # a letter of the name, no verdict
    assert page.locator("#rater-name").input_value() == "s"
    page.keyboard.press("Enter")
    dialog.wait_for(state="hidden")
    assert form.judgements() == []

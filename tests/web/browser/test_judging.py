"""People judge by keys in a real Chromium before the real server; nothing they said is lost."""

import re
import shutil

import pytest

from data.schema import Outcome
from data.verdicts import VerdictBook
from recap.project import Project

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VERDICTS = {"s": Outcome.SUCCESS, "f": Outcome.FAILURE, "x": Outcome.DISCARD}


def standing(form, rater):
    """What one person says now: episode to verdict."""
    book = VerdictBook()
    book.add(form.judgements())
    return {uid: line.verdict for uid, line in book.by_rater(rater).items()}


@pytest.fixture(scope="module")
def attempts(tmp_path_factory, make_project):
    """A project of 26 attempts that nobody judges."""
    return make_project(tmp_path_factory.mktemp("attempts") / "square", episodes=26)


@pytest.fixture
def form(attempts, tmp_path, open_form):
    """A form over a copy of them."""
    return open_form(Project(shutil.copytree(attempts.folder, tmp_path / "square")))


def test_a_rater_judges_twenty_episodes_by_keys_alone(form, sit_down):
    ann = sit_down(form, "Ann")
    said, presses = {}, 0

    def press(key):
        nonlocal presses
        presses += 1
        said[ann.judge(key)] = VERDICTS[key]

    for key in "sfxsfss":
        press(key)

    # One is undone: it is on the screen again, and gets another verdict.
    undone = list(said)[-1]
    ann.press("u")
    ann.wait_for(undone)
    presses += 1
    press("f")
    assert list(said)[-1] == undone

    # One is changed: three back, another verdict.
    changed = list(said)[-3]
    before = ann.shown()
    for uid in reversed(list(said)[-3:]):
        ann.press("k")
        ann.wait_for(uid)
    press("x")
    while ann.shown() != before:
        at = ann.shown()
        ann.press("j")
        ann.wait_for_another(at)

    for key in "sffs":
        press(key)
    ann.page.reload()  # the name is remembered
    ann.wait_for_another()
    while len(said) < 20:
        press("sf"[len(said) % 2])
    ann.wait_until_nothing_waits()

    assert standing(form, "Ann") == said
    assert said[changed] is Outcome.DISCARD
    assert len(form.judgements()) == presses == 23
    ann.page.locator("#progress", has_text="20").wait_for()


def test_what_is_pressed_while_the_server_is_dead_arrives_once(form, sit_down):
    ann = sit_down(form, "Ann", is_server_away_at_times=True)
    said = [(ann.judge(key), VERDICTS[key]) for key in "sfsf"]

    dying = ann.shown()
    ann.press("s")  # on its way when the server dies
    form.kill()
    said.append((dying, Outcome.SUCCESS))
    ann.wait_for_another(dying)
    # What was loaded already can be judged; behind it nobody sees anything, and judges nothing.
    is_out = ann.page.locator("#notice-title", has_text="The server is away")
    while not is_out.is_visible():
        uid = ann.shown()
        said.append((uid, Outcome.DISCARD))
        ann.press("x")
        is_out.or_(ann.page.locator(f"#player[data-ready=true]:not([data-uid='{uid}'])")).wait_for()
    ann.press("s")
    ann.page.get_by_text(re.compile("[1-4] waiting")).wait_for()

    form.start()
    uid = ann.wait_for_another()
    ann.wait_until_nothing_waits()
    assert ann.judge("f") == uid
    said.append((uid, Outcome.FAILURE))
    ann.wait_until_nothing_waits()

    assert standing(form, "Ann") == dict(said)
    assert [(line.episode_uid, line.verdict) for line in form.judgements()] == said


def test_what_waits_is_sent_by_the_next_page_when_the_browser_was_closed(form, sit_down):
    ann = sit_down(form, "Ann", is_server_away_at_times=True)
    said = [(ann.judge("s"), Outcome.SUCCESS)]
    ann.wait_until_nothing_waits()
    form.kill()
    said.append((ann.judge("f"), Outcome.FAILURE))
    said.append((ann.shown(), Outcome.DISCARD))
    ann.press("x")
    ann.page.get_by_text("2 waiting").wait_for()
    context = ann.page.context
    ann.page.close()

    form.start()
    ann.page = context.new_page()
    ann.page.goto("/label")
    ann.wait_for_another()
    ann.wait_until_nothing_waits()
    assert standing(form, "Ann") == dict(said)
    assert [(line.episode_uid, line.verdict) for line in form.judgements()] == said


def test_two_people_disagree_and_a_third_look_decides(tmp_path, make_project, open_form, sit_down):
    settings = {"label": {"rule": "majority"}}
    form = open_form(make_project(tmp_path / "square", episodes=3, settings=settings))
    ann = sit_down(form, "Ann")
    ben = sit_down(form, "Ben", path=f"/label/{ann.shown()}")
    uid = ann.judge("s")
    assert ben.judge("f") == uid

    eve = sit_down(form, "Eve")
    eve.page.locator("#filters select[name=show]").select_option("disputed")
    eve.wait_for(uid)
    eve.page.locator(f"#queue [data-uid='{uid}']").wait_for()
    eve.page.wait_for_function("() => document.querySelectorAll('#queue [data-uid]').length === 1")
    eve.page.locator("#filters select[name=show]").blur()
    eve.press("f")
    eve.wait_until_nothing_waits()
    eve.page.locator("#filters select[name=show]").select_option("failure")
    eve.page.locator(f"#queue [data-uid='{uid}']").wait_for()
    assert {rater: list(standing(form, rater).values()) for rater in ("Ann", "Ben", "Eve")} == {
        "Ann": [Outcome.SUCCESS],
        "Ben": [Outcome.FAILURE],
        "Eve": [Outcome.FAILURE],
    }

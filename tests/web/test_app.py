import base64
import hashlib
import logging
import os
import re
import sqlite3
import tomllib
import unicodedata
from contextlib import closing
from importlib.resources import files
from pathlib import PurePath
from urllib.parse import urljoin

import pytest
from pydantic import TypeAdapter, ValidationError

from data.errors import ProjectError
from data.outcomes import OutcomeStore
from data.verdicts import NAME_RULE, DecisionRule, is_name
from recap.web.app import create_app
from recap.web.guard.mistakes import in_words
from recap.web.pages import PALETTE, STATIC
from recap.web.schemas import RaterName

UID = "rollout-01-00000001"
VERDICT = {"rater": "Anna", "verdict": "success", "request_id": "request-1"}
JUDGING = f"/api/episodes/{UID}/verdicts"


@pytest.fixture(scope="module")
def project(tmp_path_factory, make_project):
    return make_project(tmp_path_factory.mktemp("served") / "square", episodes=2)


@pytest.fixture
def store(tmp_path):
    made = OutcomeStore(tmp_path / "outcomes.db")
    yield made
    made.close()


@pytest.fixture
def app(project, store):
    made = create_app(project, store, rule=DecisionRule())
    yield made
    made.state.desk.close()


@pytest.fixture
def client(app, talk_to):
    with talk_to(app) as opened:
        yield opened


def test_a_verdict_is_on_the_disk_when_it_is_acknowledged(client, tmp_path):
    assert client.post(JUDGING, json=VERDICT).status_code == 201
    with closing(sqlite3.connect(tmp_path / "outcomes.db")) as other:
        found = other.execute("SELECT episode_uid, rater, verdict FROM judgements").fetchall()
    assert found == [(UID, "Anna", "success")]


def test_an_episode_that_is_recorded_meanwhile_is_there_at_once(client, project, add_episodes):
    (uid,) = add_episodes(project, [77])
    assert client.get(f"/videos/{uid}/front.mp4").status_code == 200
    assert client.post(f"/api/episodes/{uid}/verdicts", json=VERDICT).status_code == 201


@pytest.mark.parametrize("target", ["/", "/label", f"/label/{UID}"])
def test_every_page_is_there(client, target):
    answer = client.get(target)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "square" in answer.text
    head = client.head(target)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(answer.content)))


def test_no_page_asks_anything_of_the_outside_or_runs_a_script_of_its_own(client):
    for target in ("/", "/label"):
        page = client.get(target).text
        assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in page
        assert " style=" not in page
        assert "<style" not in page
        assert " on" + "click=" not in page
        for script in page.split("<script")[1:]:
            assert 'src="/static/' in script.split(">")[0]


def test_every_static_file_is_served_as_what_it_is(client):
    kinds = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
    sent = [file for file in STATIC.rglob("*") if file.is_file()]
    assert {file.parent.relative_to(STATIC).as_posix() for file in sent} == {
        ".",
        "dashboard",
        "form",
    }
    for file in sent:
        target = f"/static/{file.relative_to(STATIC).as_posix()}"
        answer = client.get(target)
        assert (answer.status_code, answer.content) == (200, file.read_bytes())
        suffix = PurePath(file.name).suffix
        assert answer.headers["content-type"] == kinds.get(suffix, answer.headers["content-type"])
        again = client.get(target, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert answer.headers["cache-control"] == "private, no-cache"


def test_whatever_a_page_asks_for_is_there_and_no_file_is_there_for_nothing(client):
    asked = {
        file
        for page in ("/", "/label")
        for file in re.findall(r'(?:href|src)="(/static/[^"#]+)', client.get(page).text)
    }
    to_read = sorted(asked)
    while to_read:
        file = to_read.pop()
        answer = client.get(file)
        assert answer.status_code == 200, file
        wanted = re.findall(r"^(?:import|export)\b[^;]*?from '(\..*?)';", answer.text, re.MULTILINE)
        found = {urljoin(file, name) for name in wanted} - asked
        asked |= found
        to_read += found
    files_there = {
        f"/static/{file.relative_to(STATIC).as_posix()}"
        for file in STATIC.rglob("*")
        if file.is_file()
    }
    assert asked == files_there | {"/static/palette.css"}


def test_an_installed_package_has_every_static_file_and_template():
    settings = tomllib.loads((STATIC.parents[2] / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["recap.web"]
    packed = {file for pattern in patterns for file in STATIC.parent.glob(pattern)}
    there = [*STATIC.rglob("*"), *STATIC.with_name("templates").rglob("*")]
    assert {file for file in there if file.is_file()} == {file for file in packed if file.is_file()}


def test_the_form_has_the_colours_of_the_reports(client):
    palette = client.get("/static/palette.css").text
    templates = files("recap.report") / "templates"
    assert palette == (templates / "palette.css").read_text()
    assert '{% include "palette.css" %}' in (templates / "report.html").read_text()
    assert palette.startswith(":root {")


@pytest.mark.parametrize(
    "name",
    [
        *("", "form", "form/", "nothing.js", "form/nothing.js", "form.html", "app.py"),
        *("main.js", "form//main.js", "dashboard/form/main.js", "form%2f..%2fform%2fmain.js"),
        *("../app.py", "form/../../app.py", "../templates/form.html", "form/palette.css"),
    ],
)
def test_nothing_else_of_the_package_is_served(client, name):
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "There is nothing at this address."}


def test_a_link_or_a_strange_file_among_the_static_ones_is_not_served(
    client, tmp_path, monkeypatch
):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.js").write_text("secret")
    static = tmp_path / "static"
    (static / "form").mkdir(parents=True)
    (static / "form" / "own.js").write_text("own")
    (static / "form" / "linked.js").symlink_to(outside / "secret.js")
    (static / "folder").symlink_to(outside)
    (static / "form" / "pages.py").write_text("secret")
    (static / "form" / "folder.js").mkdir()
    os.mkfifo(static / "form" / "pipe.js")
    monkeypatch.setattr("recap.web.pages.STATIC", static)
    assert client.get("/static/form/own.js").text == "own"
    for name in (
        *("form/linked.js", "folder/secret.js", "form/pages.py", "form/folder.js", "form/pipe.js"),
        *("form/../../outside/secret.js", "form/own.js/", "form/own.js%00"),
    ):
        assert client.get(f"/static/{name}").status_code == 404, name


def test_a_report_is_sent_and_may_run_nothing(client, project):
    path = project.report(3)
    path.parent.mkdir(parents=True)
    path.write_text("<!doctype html><p>Iteration 3</p><script>alert(1)</script>")
    answer = client.get("/reports/3")
    assert (answer.status_code, answer.text) == (200, path.read_text())
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith("; sandbox")
    assert "script" not in policy


def test_a_report_that_is_not_written_yet_says_so(client):
    answer = client.get("/reports/4", headers={"Accept": "application/json"})
    words = "Iteration 4 has no report yet. Make one with `recap report`."
    assert (answer.status_code, answer.json()) == (404, {"detail": words})
    page = client.get("/reports/4", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "<p>Iteration 4 has no report yet." in page.text


@pytest.mark.parametrize(
    ("method", "target", "status", "words"),
    [
        ("GET", "/nowhere", 404, "There is nothing at this address."),
        ("PUT", "/api/project", 405, "This address cannot be asked that way."),
        ("GET", "/api/queue?limit=0", 422, "limit: must be at least 1."),
        ("GET", "/docs", 404, "There is nothing at this address."),
        ("GET", "/label/", 404, "There is nothing at this address."),
    ],
)
def test_every_refusal_is_one_sentence(client, method, target, status, words):
    answer = client.request(method, target)
    assert (answer.status_code, answer.json()) == (status, {"detail": words})


def test_many_mistakes_are_told_in_one_sentence_without_what_was_sent(client):
    wrong = dict.fromkeys("abcde", "x" * 50)
    detail = client.post(JUDGING, json=wrong).json()["detail"]
    assert detail.startswith("rater: is missing; verdict: is missing; ")
    assert detail.endswith("; and 5 more.")
    assert "xxx" not in detail


@pytest.mark.parametrize("error", [RuntimeError, ProjectError])
def test_a_fault_of_ours_is_told_here_and_not_to_the_browser(
    app, client, monkeypatch, caplog, error
):
    words = "/home/anna/runs/secret is broken"

    def broken(*_args, **_kwargs):
        raise error(words)

    monkeypatch.setattr(type(app.state.desk.presence), "others", broken)
    answer = client.get("/api/queue")
    assert answer.status_code == 500
    assert answer.json()["detail"] == (
        "Something went wrong in the server; what, is told where `recap label` runs. "
        "Nothing was saved."
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert error is RuntimeError or "/home/anna/runs/secret" in caplog.text


NOT_SAVED = (
    "The database does not answer, so nothing was saved: it may be locked, or its disk may be "
    "full. Try again."
)


def test_a_locked_database_is_told_and_nothing_is_half_written(
    project, talk_to, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("data.database.PATIENCE_S", 0.1)
    store = OutcomeStore(tmp_path / "outcomes.db")
    app = create_app(project, store, rule=DecisionRule())
    with talk_to(app) as client, closing(sqlite3.connect(store.name)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = client.post(JUDGING, json=VERDICT)
        other.rollback()
        assert (answer.status_code, answer.json()) == (503, {"detail": NOT_SAVED})
        assert answer.headers["retry-after"] == "2"
        assert store.since(0) == []
        assert "locked" in caplog.text
        assert client.post(JUDGING, json=VERDICT).status_code == 201
    app.state.desk.close()
    store.close()


def test_a_full_disk_is_told_and_nothing_is_half_written(client, store, caplog):
    caplog.set_level(logging.ERROR)
    with store._database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    long = {**VERDICT, "note": "n" * 2000}
    answers = [
        client.post(JUDGING, json={**long, "request_id": f"request-{number}"})
        for number in range(9)
    ]
    saved = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert refused
    assert {answer.status_code for answer in refused} == {503}
    assert refused[0].json() == {"detail": NOT_SAVED}
    assert [line.id for line in store.since(0)] == [answer.json()["id"] for answer in saved]
    assert "nnn" not in caplog.text  # what was to be written is nobody's business in a log


def test_the_form_and_an_imported_table_take_the_same_names():
    def takes(name):
        try:
            return bool(form.validate_python(name))
        except ValidationError:
            return False

    form = TypeAdapter(RaterName)
    signs = [chr(code) for code in (*range(0x3000), *range(0xFF00, 0xFFF0), 0x1D7D8, 0x1F600)]
    # Letters in circles are letters to the form alone; what has no meaning yet changes yearly.
    signs = [sign for sign in signs if unicodedata.category(sign) not in {"So", "Cn"}]
    names = [around.format(sign) for sign in signs for around in ("{}", "{}a", "a{}", "a{}a")]
    names += ["", "a" * 60, "a" * 61, "Simulator", "\uff53imulator", "simulators", "J. R.", "a -"]
    assert len(names) > 30_000
    assert [name for name in names if takes(name) is not is_name(name)] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"note": "x" * 2001}, "note: may have at most 2,000 characters."),
        ({"note": "a\0b"}, "note: holds a character that cannot be written down."),
        ({"note": 1}, "note: must be text."),
        ({"verdict": "maybe"}, "verdict: must be 'success', 'failure' or 'discard'."),
        ({"rater": "a:"}, f"rater: {NAME_RULE}."),
        ({"rater": None}, "rater: must be text."),
        ({"success_frame": "one"}, "success_frame: must be a whole number."),
        ({"success_frame": 1.5}, "success_frame: must be a whole number."),
        ({"success_frame": -1}, "success_frame: must be at least 0."),
        ({"success_frame": 10_000_001}, "success_frame: must be at most 10,000,000."),
        ({"answers": {"upright": 1}}, "answers.upright: must be true or false."),
        ({"answers": []}, "answers: must be a JSON object."),
        ({"request_id": "short"}, "request_id: must be 8 to 64 letters, digits and dashes."),
        ({"mood": "good"}, "mood: is nothing that is known here."),
    ],
)
def test_a_mistake_in_a_verdict_is_told_in_plain_words(client, change, words):
    answer = client.post(JUDGING, json={**VERDICT, **change})
    assert (answer.status_code, answer.json()) == (422, {"detail": words})


def test_what_is_not_json_is_told_in_plain_words(client):
    headers = {"Content-Type": "application/json"}
    for content, words in (
        ("{", "the request: is not JSON one can read."),
        ("[]", "the request: must be a JSON object."),
    ):
        answer = client.post(JUDGING, content=content, headers=headers)
        assert (answer.status_code, answer.json()) == (422, {"detail": words})
    assert client.get("/api/episodes/-").json() == {"detail": "uid: is not the name of an attempt."}


def test_a_mistake_of_a_kind_that_nobody_thought_of_is_not_told_in_foreign_words():
    mistake = {"type": "decimal_type", "loc": ("body", "a", 3, "b"), "msg": "Decimal input ..."}
    assert in_words([mistake]) == "a.b: is not what it should be."


def test_a_page_that_is_refused_looks_like_the_form_and_leads_back(client):
    page = client.get("/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "<h1>Nothing is here</h1><p>There is nothing at this address.</p>" in page.text
    assert 'href="/label"' in page.text
    assert "Try again" not in page.text
    style = re.search("<style>(.*)</style>", page.text, re.DOTALL)[1]
    assert style.startswith(PALETTE.read_text() + (STATIC / "base.css").read_text())
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert page.headers["content-security-policy"].startswith(
        f"default-src 'none'; style-src 'sha256-{digest}';"
    )

"""The commands around the form: they run beside others, and verdicts go out and come back."""

import json
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace

import pytest

from data.files import write_json_atomically
from data.outcomes import OutcomeStore
from data.schema import Ending, EpisodeInfo, Outcome, Source
from data.verdicts import DecisionRule, Rule
from recap.cli import main
from recap.config import RecapConfig
from recap.project import Project
from recap.settings import plain_settings, read_settings

HEAVY = {"torch", "lerobot", "mujoco", "pandas", "transformers", "matplotlib", "wandb", "scipy"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in which nothing was recorded yet."""
    monkeypatch.chdir(tmp_path)
    config = RecapConfig(project=tmp_path.__class__("run"))
    return Project.create(config.project, plain_settings(config))


@pytest.fixture
def served(monkeypatch):
    """What the server was asked to serve; it stops at once."""
    asked = []

    def serve(project, store, form, *, rule, criteria, say):
        say("http://127.0.0.1:8420/label")
        asked.append(SimpleNamespace(project=project, form=form, rule=rule, criteria=criteria))
        store.judge("one", Outcome.SUCCESS, rater="anna")

    monkeypatch.setitem(sys.modules, "recap.web.server", SimpleNamespace(serve=serve))
    return asked


def outcomes(project):
    with closing(OutcomeStore(project.outcomes)) as store:
        return store.outcomes()


def test_the_form_opens_while_others_are_at_work_and_before_anything_was_recorded(
    project, served, capsys
):
    with project.at_work():
        assert main(["label", "--project=run"]) == 0
    (asked,) = served
    assert asked.project == project
    assert (asked.rule, asked.criteria) == (DecisionRule(), None)
    assert outcomes(project) == {"one": Outcome.SUCCESS}
    assert capsys.readouterr().out == (
        "http://127.0.0.1:8420/label\n"
        "The form is closed. Every verdict that it called saved is kept.\n"
    )


def test_the_form_is_told_the_settings_by_their_short_names(project, served):
    words = ["--host=0.0.0.0", "--port=8500", "--token=correct-horse-battery"]
    words += ["--label.rule=majority", "--label.raters_needed=3"]
    words += ["--label.criteria.upright=Does it stand: upright?", "--label.criteria.gone=Let go?"]
    assert main(["label", "--project=run", *words, "--label.criteria_needed=1"]) == 0
    (asked,) = served
    form = asked.form
    assert (form.host, form.port, form.token) == ("0.0.0.0", 8500, "correct-horse-battery")  # noqa: S104 - an address in a test
    assert asked.rule == DecisionRule(rule=Rule.MAJORITY, raters_needed=3)
    assert asked.criteria.questions == {"upright": "Does it stand: upright?", "gone": "Let go?"}
    assert asked.criteria.needed == 1


def test_short_names_of_the_form_mean_nothing_elsewhere(project, capsys):
    assert main(["auto-label", "--project=run", "--port=1"]) == 2
    assert capsys.readouterr().err.startswith("'port' is not a setting. Did you mean '")


def test_what_people_saw_is_what_is_trained_on(project, served, capsys):
    said = ["--label.rule=majority", "--label.raters_needed=2", "--label.criteria.let_go=Let go?"]
    assert main(["label", "--project=run", *said]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        "The project remembers: label.criteria.let_go was not set, is 'Let go?'.",
        "The project remembers: label.raters_needed was 1, is 2.",
        "The project remembers: label.rule was 'latest', is 'majority'.",
    ]
    later = read_settings(["--project=run"]).label
    assert (later.rule, later.raters_needed) == ("majority", 2)
    assert later.criteria == {"let_go": "Let go?"}

    assert main(["label", "--project=run"]) == 0
    assert "remembers" not in capsys.readouterr().out
    assert [asked.rule.raters_needed for asked in served] == [2, 2]


def test_a_project_from_before_the_rule_has_not_changed(project, served, capsys):
    settings = project.folder / "project.yaml"
    lines = settings.read_text().splitlines(keepends=True)
    settings.write_text("".join(line for line in lines if "  rule: latest" not in line))
    assert main(["label", "--project=run"]) == 0
    assert "remembers" not in capsys.readouterr().out


def test_the_form_has_no_result_for_machines(project, served, capsys):
    assert main(["label", "--project=run", "--json"]) == 2
    assert capsys.readouterr().err == (
        "`recap label` has no result that could be JSON. Leave --json out.\n"
    )
    assert served == []
    assert main(["label", "--help"]) == 0
    assert "--json" not in capsys.readouterr().out


def test_an_early_interrupt_closes_the_form_like_a_late_one(project, monkeypatch, capsys):
    def serve(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "recap.web.server", SimpleNamespace(serve=serve))
    assert main(["label", "--project=run"]) == 0
    assert capsys.readouterr().out.startswith("The form is closed.")


def test_a_database_is_noted_by_the_first_command_that_hears_of_it(project, served, tmp_path):
    url = f"sqlite:///{tmp_path}/shared.db"
    assert main(["auto-label", "--project=run", f"--database-url={url}"]) == 2  # nothing recorded
    assert json.loads(project.database.read_text())["url"] == url
    assert main(["label", "--project=run"]) == 0
    assert not project.outcomes.exists()
    with closing(OutcomeStore(url)) as store:
        assert store.outcomes() == {"one": Outcome.SUCCESS}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_verdicts_go_out_and_come_back_once(project, tmp_path, capsys, suffix):
    for uid in ("one", "two"):
        (project.episodes / uid).mkdir(parents=True)
    with closing(OutcomeStore(project.outcomes)) as store:
        store.judge("one", Outcome.FAILURE, rater="anna")
        last = store.judge("one", Outcome.SUCCESS, rater="anna", success_frame=3)
        store.judge("two", Outcome.DISCARD, rater="ben", note="=1+1")
        store.withdraw(last.id, rater="anna")
    before = outcomes(project)
    with project.at_work():
        assert main(["export-verdicts", "--project=run", f"--to=v.{suffix}"]) == 0
    assert capsys.readouterr().out == f"v.{suffix}: 4 lines of verdicts\n"
    project.outcomes.unlink()
    words = ["import-verdicts", "--project=run", f"--from=v.{suffix}"]
    with project.at_work():
        assert main(words) == 0
    assert capsys.readouterr().out == f"v.{suffix}: 4 verdicts added, 0 were there already\n"
    assert outcomes(project) == before == {"one": Outcome.FAILURE, "two": Outcome.DISCARD}
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": f"v.{suffix}", "added": 0, "known": 4}


def test_an_import_is_told_in_the_singular_and_knows_the_end_of_an_episode(project, capsys):
    uid = "rollout-01-00000000"
    info = EpisodeInfo(
        uid=uid,
        task="put the cube down",
        seed=0,
        source=Source.ROLLOUT,
        iteration=1,
        policy_id="a",
        ending=Ending.TERMINATED,
        frames=10,
        corrected_frames=0,
        measured_success=None,
    )
    sidecar = {"info": info.to_json(), "content_hash": ""}
    write_json_atomically(project.episodes / uid / "meta" / "recap.json", sidecar)
    table = project.folder / "mine.csv"
    words = ["import-verdicts", "--project=run", f"--from={table}"]
    table.write_text(f"episode_uid,rater,verdict,success_frame\n{uid},anna,success,10\n")
    assert main(words) == 2
    assert capsys.readouterr().err == (
        f"{table}, line 2: The moment of success must be a frame of the episode, 0 to 9, got 10.\n"
    )
    table.write_text(f"episode_uid,rater,verdict,success_frame\n{uid},anna,success,9\n")
    for told in ("1 verdict added, 0 were there already", "0 verdicts added, 1 was there already"):
        assert main(words) == 0
        assert capsys.readouterr().out == f"{table}: {told}\n"
    assert main(["export-verdicts", "--project=run", "--to=one.csv"]) == 0
    assert capsys.readouterr().out == "one.csv: 1 line of verdicts\n"
    assert main(["export-verdicts", "--project=run", "--to=no/one.csv"]) == 2
    assert capsys.readouterr().err == (
        "no/one.csv cannot be written: there is no folder no. Make it, or choose another.\n"
    )


@pytest.mark.parametrize(("command", "flag"), [("export", "to"), ("import", "from")])
def test_a_file_that_is_not_named_is_asked_for(project, capsys, command, flag):
    assert main([f"{command}-verdicts", "--project=run"]) == 2
    assert capsys.readouterr().err == (
        f"Which file? Say it with --{flag}: `recap {command}-verdicts --project=run "
        f"--{flag}=verdicts.csv`. A file that ends in .parquet does as well.\n"
    )
    assert not project.outcomes.exists()


def test_the_form_imports_nothing_heavy(project):
    script = (
        "import sys, recap.cli, recap.web.server as server\n"
        "server.serve = lambda *a, **k: None\n"
        "assert recap.cli.main(['label', '--project=run']) == 0\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.splitlines()[-1].split()) & HEAVY == set()

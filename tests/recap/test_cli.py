import json
import subprocess
import sys

import pytest

from recap.cli import COMMANDS, main
from recap.iterate import Answer
from recap.perform import STAGES

HEAVY = {"torch", "lerobot", "mujoco", "pandas", "pyarrow", "transformers", "matplotlib", "wandb"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pretend(monkeypatch, name, run):
    command = COMMANDS[name]
    changed = type(command)(
        summary=command.summary, sections=command.sections, run=run, makes_project=True
    )
    monkeypatch.setitem(COMMANDS, name, changed)


def test_help_imports_nothing_heavy():
    script = "import sys, recap.cli; recap.cli.main(['evaluate', '--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.splitlines()[-1].split()) & HEAVY == set()


def test_the_overview_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in (*COMMANDS, "serve-policy") if f"  {name} " not in shown] == []


def test_every_stage_is_a_command_and_the_form_is_none():
    stages = {"auto-label" if name == "label" else name for name in STAGES}
    assert stages < set(COMMANDS)
    assert COMMANDS["auto-label"].summary == STAGES["label"].summary
    assert COMMANDS["label"].runs_beside_others
    assert not COMMANDS["auto-label"].runs_beside_others


def test_without_a_command_the_overview_is_shown_as_a_mistake(capsys):
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("Fine-tune a robot policy on its own attempts.")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_a_command_shows_settings_with_sentence_and_default(name, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "  --seed int\n        Seed of everything" in shown
    assert "(default: 0)" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["colect"], "'colect' is not a command. Did you mean 'collect'?"),
        (["xyzzy"], "'xyzzy' is not a command. See `recap --help`."),
        (["label", "--lable.rater=me"], "'lable.rater' is not a setting. Did you mean 'label'?"),
        (
            ["evaluate", "--project=runs/none"],
            "runs/none is not a project: it has no project.yaml. Make one with "
            "`recap iterate --config_path configs/demo.yaml --project=runs/none`.",
        ),
        (
            ["label", "--project=p", "--label.rater=me"],
            "label.rater must be one of simulator, people, got me.",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, folder, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err == message + "\n"
    assert captured.out == ""
    assert list(folder.iterdir()) == []


def test_an_interrupt_says_how_to_go_on(folder, monkeypatch, capsys):
    def run(config, project, progress, say):
        raise KeyboardInterrupt

    pretend(monkeypatch, "iterate", run)
    assert main(["iterate", "--project=my runs"]) == 130
    assert capsys.readouterr().err == (
        "\nStopped. To go on from here: recap iterate '--project=my runs'\n"
    )


def test_for_machines_the_answer_is_the_only_line(folder, monkeypatch, capsys):
    def run(config, project, progress, say):
        say("on the way")
        return Answer(text="table", content={"minutes": 1}, ends_with_json=True)

    pretend(monkeypatch, "iterate", run)
    assert main(["iterate", "--project=p", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"minutes": 1}
    assert captured.err == "on the way\n"
    assert main(["iterate", "--project=p"]) == 0
    assert capsys.readouterr().out == 'on the way\ntable\n{"minutes": 1}\n'

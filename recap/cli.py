"""The command line: ``recap <command> --config_path configs/x.yaml --field.sub=value``.

Nothing heavy is imported until a command has its settings: ``recap --help`` answers at once.
"""

import difflib
import json
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from data.errors import ConfigError, RecapError
from recap.config import RecapConfig
from recap.iterate import PRETRAINING, Answer, iterate, pretrain
from recap.perform import STAGES, perform
from recap.progress import ProgressFactory, show_progress
from recap.project import Project
from recap.settings import plain_settings, read_settings, settings_of

EXIT_MISTAKE: Final = 2
EXIT_INTERRUPTED: Final = 130
HELP_WIDTH: Final = 100

ENVIRONMENT: Final = {
    # Processes that share cores are fast with one thread each and spin against each other with
    # more. A stage that has the cores to itself asks torch for more threads.
    "OMP_NUM_THREADS": "1",
    # A local checkpoint or dataset that is incomplete is an error, not a reason to look online.
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""What the libraries read when they are imported; what the user has set stays."""

_Say = Callable[[str], None]
_Run = Callable[[RecapConfig, Project, ProgressFactory, _Say], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One word after ``recap``."""

    summary: str
    sections: tuple[str, ...]
    run: _Run
    makes_project: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 2 for a user's mistake, 130 when stopped."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        return _dispatch(words)
    except RecapError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_MISTAKE
    except KeyboardInterrupt:
        sys.stderr.write(f"\nStopped. To go on from here: {shlex.join(['recap', *words])}\n")
        return EXIT_INTERRUPTED


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(_overview())
        return 0 if words else EXIT_MISTAKE
    if words[0] == "--version":
        sys.stdout.write(f"recap {version('recap')}\n")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        nearest = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean '{nearest[0]}'?" if nearest else "See `recap --help`."
        message = f"'{name}' is not a command. {hint}"
        raise ConfigError(message)
    if "-h" in rest or "--help" in rest:
        sys.stdout.write(_help(name))
    else:
        _run(COMMANDS[name], rest)
    return 0


def _run(command: Command, rest: list[str]) -> None:
    """Run a command; what it has to say goes to standard output, or as JSON alone."""
    is_for_machines = "--json" in rest
    config = read_settings([word for word in rest if word != "--json"])
    if command.makes_project and config.base is not None:
        # A project keeps the settings it was made with: none is made with a base that is none.
        Project(config.project).starting_point(config.base)
    enter = Project.create if command.makes_project else Project.open
    project = enter(config.project, plain_settings(config))
    say = _say_aside if is_for_machines else _say
    with project.at_work(), show_progress() as progress:
        answer = command.run(config, project, progress, say)
    if not is_for_machines:
        sys.stdout.write(f"{answer.text}\n")
    if is_for_machines or answer.ends_with_json:
        sys.stdout.write(json.dumps(answer.content) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _say_aside(text: str) -> None:
    sys.stderr.write(text + "\n")


def _stage(name: str) -> _Run:
    def run(
        config: RecapConfig,
        project: Project,
        progress: ProgressFactory,
        say: _Say,  # noqa: ARG001 - a single stage has nothing to say on the way
    ) -> Answer:
        done = perform(name, config, project, iteration=config.iteration, progress=progress)
        return Answer(text=done.in_words(), content=done.as_json())

    return run


COMMANDS: Final[Mapping[str, Command]] = {
    "iterate": Command(
        summary="The whole loop, from demonstrations to a table; goes on where it was stopped.",
        sections=tuple(RecapConfig.__dataclass_fields__),
        run=iterate,
        makes_project=True,
    ),
    "pretrain": Command(
        summary="Make a base: a value model and a policy from demonstrations alone.",
        sections=tuple(dict.fromkeys(s for name in PRETRAINING for s in STAGES[name].sections)),
        run=pretrain,
        makes_project=True,
    ),
    **{
        name: Command(
            summary=stage.summary,
            sections=stage.sections,
            run=_stage(name),
            makes_project=name == "collect",
        )
        for name, stage in STAGES.items()
    },
}


def _overview() -> str:
    lines = [
        "Fine-tune a robot policy on its own attempts.",
        "",
        "usage: recap <command> --config_path configs/x.yaml [--field.sub=value ...] [--json]",
        "",
        *(f"  {name:<16}{command.summary}" for name, command in COMMANDS.items()),
        "",
        "`recap <command> --help` lists the settings of a command.",
    ]
    return "\n".join(lines) + "\n"


def _help(name: str) -> str:
    command = COMMANDS[name]
    lines = [
        command.summary,
        "",
        f"usage: recap {name} --config_path configs/x.yaml [--field.sub=value ...] [--json]",
        "",
        "  --config_path path   Settings to begin with, in YAML; the flags below go over them.",
        "  --json               Print the result as one line of JSON.",
        "",
    ]
    for setting in settings_of(command.sections):
        default = f" (default: {setting.default})" if setting.default else ""
        lines.append(f"  --{setting.name} {setting.kind}")
        lines += textwrap.wrap(
            setting.sentence + default,
            width=HELP_WIDTH,
            initial_indent=" " * 8,
            subsequent_indent=" " * 8,
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

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
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Final

from data.errors import ConfigError, RecapError
from recap import form, inspect_value
from recap.config import RecapConfig
from recap.iterate import PRETRAINING, Answer, iterate, pretrain
from recap.judgements import open_outcomes
from recap.perform import COMMAND_NAMES, STAGES, perform
from recap.progress import ProgressFactory, show_progress, silent
from recap.project import Project
from recap.settings import (
    FILE_SHORT_NAMES,
    FORM_SHORT_NAMES,
    INSPECT_SHORT_NAMES,
    SHORT_NAMES,
    Setting,
    plain_settings,
    read_serving,
    read_settings,
    serving_settings,
    settings_of,
)
from recap.several_processes import send_home, wait_until_asked
from value_models.launch import end_process, is_main_process, process_count

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

SERVE: Final = "serve-policy"
SERVE_SUMMARY: Final = "Serve a policy, on a machine that is fast enough, to robots elsewhere."

ROBOT_SECTIONS: Final = (
    *("robot", "teleop", "session", "remote", "execution", "safety", "alignment", "controls"),
)
"""What a session with a robot reads besides."""

TRAINS_VALUE: Final = ("train-value", "pretrain", "iterate")
"""Commands that several processes may share: they train value models together."""

_Say = Callable[[str], None]
_Run = Callable[[RecapConfig, Project, ProgressFactory, _Say], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One word after ``recap``."""

    summary: str
    sections: tuple[str, ...]
    run: _Run
    makes_project: bool
    may_be_session: bool = False
    runs_beside_others: bool = False
    """Whether it leaves alone what others do in the project, and is left alone by them."""

    has_result: bool = True
    short_names: Mapping[str, str] = field(default_factory=dict)
    """What it calls some settings, besides the names that all commands know."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 2 for a user's mistake, 130 when stopped."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    code = _answer(words)
    if process_count() > 1:
        end_process(code)
    return code


def _answer(words: list[str]) -> int:
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
    if name not in {*COMMANDS, SERVE}:
        nearest = difflib.get_close_matches(name, [*COMMANDS, SERVE], n=1)
        hint = f"Did you mean '{nearest[0]}'?" if nearest else "See `recap --help`."
        message = f"'{name}' is not a command. {hint}"
        raise ConfigError(message)
    if "-h" in rest or "--help" in rest:
        sys.stdout.write(_help(name))
    elif name == SERVE:
        _serve(rest)
    else:
        _run(name, rest)
    return 0


def _serve(rest: list[str]) -> None:
    """Serve a policy until Ctrl-C; needs no project, as it runs on another machine."""
    config = read_serving(rest)
    from recap.remote.server import serve

    serve(config.serve, _say)


def _run(name: str, rest: list[str]) -> None:
    """Run a command; what it has to say goes to standard output, or as JSON alone."""
    command, is_for_machines = COMMANDS[name], "--json" in rest
    if is_for_machines and not command.has_result:
        message = f"`recap {name}` has no result that could be JSON. Leave --json out."
        raise ConfigError(message)
    config = read_settings(
        [word for word in rest if word != "--json"],
        short_names={**SHORT_NAMES, **command.short_names},
    )
    if process_count() > 1 and name not in TRAINS_VALUE:
        message = (
            f"`recap {name}` is for one process, and torchrun started {process_count()}. Several "
            f"can share: {', '.join(TRAINS_VALUE)}."
        )
        raise ConfigError(message)
    if not is_main_process():
        _help_out(config)
        return
    is_session = command.may_be_session and bool(config.robot)
    project, run = _enter(command, config, is_session=is_session)
    say = _say_aside if is_for_machines else _say
    beside = command.runs_beside_others
    # Several robots may record into one project at once; what trains needs it for itself.
    # A session draws a view of its own, and bars that are drawn beside it would break it.
    with (
        nullcontext() if beside else project.at_work(is_shared=is_session),
        nullcontext(silent) if is_session or beside else show_progress() as progress,
    ):
        answer = run(config, project, progress, say)
        send_home(device=config.value.device)
    if not is_for_machines:
        sys.stdout.write(f"{answer.text}\n")
    if is_for_machines or answer.ends_with_json:
        sys.stdout.write(json.dumps(answer.content) + "\n")


def _help_out(config: RecapConfig) -> None:
    """Train value models with the main process, as often as it asks."""
    while True:
        is_asked, iteration = wait_until_asked(device=config.value.device)
        if not is_asked:
            return
        from recap.stages.train_value import help_to_train

        help_to_train(config, Project(config.project), iteration=iteration)


def _enter(command: Command, config: RecapConfig, *, is_session: bool) -> tuple[Project, _Run]:
    """Make or open the project, once all is well that can be known before."""
    if command.makes_project and config.base is not None:
        # A project keeps the settings it was made with: none is made with a base that is none.
        Project(config.project).starting_point(config.base)
    if command.makes_project and config.world.id:
        config.world.simulation.describe()  # nor with a world that is none
    run = _session(config) if is_session else command.run
    enter = Project.create if command.makes_project else Project.open
    project = enter(config.project, plain_settings(config))
    if config.label.database_url:
        # Every later command goes to that database, so it is noted by the first that hears of it.
        open_outcomes(project, config.label.database_url).close()
    return project, run


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
        say: _Say,
    ) -> Answer:
        done = perform(name, config, project, iteration=config.iteration, progress=progress)
        if name == "train-value":
            _remember_value(config, project, say)
        return Answer(text=done.in_words(), content=done.as_json())

    return run


def _remember_value(config: RecapConfig, project: Project, say: _Say) -> None:
    """Make how a value model was just trained what holds for the project from now on."""
    settings = plain_settings(config)["value"]
    for change in project.remember("value", settings, defaults=settings):
        say(f"The project remembers: {change}.")


def _session(config: RecapConfig) -> _Run:
    """Prepare a session with a robot, before there is a project: it may not be possible."""
    from recap.stages.session import prepare, run

    party = prepare(config, Project(config.project))

    def record(
        config: RecapConfig,
        project: Project,
        progress: ProgressFactory,  # noqa: ARG001 - it draws a view of its own
        say: _Say,  # noqa: ARG001 - the view says it
    ) -> Answer:
        report = run(config, project, party)
        return Answer(text=report.headline(), content=asdict(report))

    return record


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
        COMMAND_NAMES.get(name, name): Command(
            summary=stage.summary,
            sections=(*stage.sections, *ROBOT_SECTIONS) if name == "collect" else stage.sections,
            run=_stage(name),
            makes_project=name == "collect",
            may_be_session=name == "collect",
        )
        for name, stage in STAGES.items()
    },
    "inspect-value": Command(
        summary="Show what the value model says of an episode: a picture and a film.",
        sections=("inspect",),
        run=inspect_value.inspect,
        makes_project=False,
        runs_beside_others=True,
        short_names=INSPECT_SHORT_NAMES,
    ),
    "label": Command(
        summary="Open the form in the browser in which people judge the attempts.",
        sections=("label", "form"),
        run=form.open_form,
        makes_project=False,
        runs_beside_others=True,
        has_result=False,
        short_names=FORM_SHORT_NAMES,
    ),
    "export-verdicts": Command(
        summary="Write every verdict, also those taken back, to a file: --to=verdicts.csv.",
        sections=("label",),
        run=form.export,
        makes_project=False,
        runs_beside_others=True,
        short_names=FILE_SHORT_NAMES,
    ),
    "import-verdicts": Command(
        summary="Add the verdicts of a file: --from=verdicts.csv.",
        sections=("label",),
        run=form.bring_in,
        makes_project=False,
        runs_beside_others=True,
        short_names=FILE_SHORT_NAMES,
    ),
}


def _overview() -> str:
    lines = [
        "Fine-tune a robot policy on its own attempts.",
        "",
        "usage: recap <command> --config_path configs/x.yaml [--field.sub=value ...] [--json]",
        "",
        *(f"  {name:<17}{command.summary}" for name, command in COMMANDS.items()),
        f"  {SERVE:<17}{SERVE_SUMMARY}",
        "",
        "`recap <command> --help` lists the settings of a command.",
    ]
    return "\n".join(lines) + "\n"


def _help(name: str) -> str:
    if name == SERVE:
        return _help_of(name, SERVE_SUMMARY, serving_settings())
    command = COMMANDS[name]
    return _help_of(name, command.summary, settings_of(command.sections), command)


def _help_of(
    name: str, summary: str, settings: Sequence[Setting], command: Command | None = None
) -> str:
    has_result = command is None or command.has_result
    lines = [
        summary,
        "",
        f"usage: recap {name} --config_path configs/x.yaml [--field.sub=value ...]"
        + " [--json]" * has_result,
        "",
        "  --config_path path   Settings to begin with, in YAML; the flags below go over them.",
        *["  --json               Print the result as one line of JSON."] * has_result,
        "",
    ]
    shown = {**FORM_SHORT_NAMES, **INSPECT_SHORT_NAMES}
    short_names = {full: short for short, full in shown.items()}
    for setting in settings:
        default = f" (default: {setting.default})" if setting.default else ""
        short = f" Also --{short_names[setting.name]}." if setting.name in short_names else ""
        lines.append(f"  --{setting.name} {setting.kind}")
        lines += textwrap.wrap(
            setting.sentence + short + default,
            width=HELP_WIDTH,
            initial_indent=" " * 8,
            subsequent_indent=" " * 8,
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""The commands around the form: open it, take verdicts out of a project, bring verdicts into it.

They run beside a collection or a training: judgements are added line by line and never changed,
so nobody has to wait for anybody.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from recap.config import RecapConfig
from recap.iterate import Answer
from recap.judgements import open_outcomes
from recap.progress import ProgressFactory
from recap.project import Project
from recap.settings import plain_settings


def open_form(
    config: RecapConfig,
    project: Project,
    progress: ProgressFactory,  # noqa: ARG001 - a form has no end to come nearer to
    say: Callable[[str], None],
) -> Answer:
    """Serve the form in which people judge, until Ctrl-C.

    The project remembers the rule and the checklist: what people see is what is trained on.

    Raises:
        ProjectError: If the judgements cannot be opened.
        ConfigError: If the address cannot be listened on.
    """
    from recap.web.server import serve

    defaults = _judging(RecapConfig(project=config.project))
    for change in project.remember("label", _judging(config), defaults=defaults):
        say(f"The project remembers: {change}.")
    # Ctrl-C is how a form is closed, also in the moment before the server listens for it.
    with (
        closing(open_outcomes(project, config.label.database_url)) as store,
        suppress(KeyboardInterrupt),
    ):
        serve(
            project,
            store,
            config.form,
            rule=config.label.decision_rule,
            criteria=config.label.checklist,
            say=say,
        )
    return Answer(
        text="The form is closed. Every verdict that it called saved is kept.", content={}
    )


def export(
    config: RecapConfig,
    project: Project,
    progress: ProgressFactory,  # noqa: ARG001 - it is done at once
    say: Callable[[str], None],  # noqa: ARG001 - the answer says it
) -> Answer:
    """Write every line of the judgements, also what was withdrawn, to a file."""
    from data.verdict_files import export_verdicts

    path = _file(config, command="export-verdicts", flag="to")
    with closing(open_outcomes(project, config.label.database_url)) as store:
        lines = export_verdicts(store.since(0), path)
    return Answer(
        text=f"{path}: {lines} {'line' if lines == 1 else 'lines'} of verdicts",
        content={"file": str(path), "lines": lines},
    )


def bring_in(
    config: RecapConfig,
    project: Project,
    progress: ProgressFactory,  # noqa: ARG001 - it is done at once
    say: Callable[[str], None],  # noqa: ARG001 - the answer says it
) -> Answer:
    """Add the lines of a file to the judgements, all or none; those that are there stay single."""
    from data.verdict_files import import_verdicts
    from recap.web.desk.catalogue import Catalogue

    episodes = Catalogue(project)

    @cache
    def frames_of(uid: str) -> int | None:
        entry = episodes.find(uid)
        return None if entry is None else entry.info.frames

    path = _file(config, command="import-verdicts", flag="from")
    known = {entry.name for entry in project.episodes.glob("[!.]*/")}
    with closing(open_outcomes(project, config.label.database_url)) as store:
        brought = import_verdicts(path, store, known_uids=known, frames_of=frames_of)
    return Answer(
        text=(
            f"{path}: {brought.added} {'verdict' if brought.added == 1 else 'verdicts'} added, "
            f"{brought.known} {'was' if brought.known == 1 else 'were'} there already"
        ),
        content={"file": str(path), "added": brought.added, "known": brought.known},
    )


def _judging(config: RecapConfig) -> dict[str, Any]:
    """Give the settings of the judging that outlive a command."""
    settings: dict[str, Any] = plain_settings(config)["label"]
    return {name: value for name, value in settings.items() if name != "file"}


def _file(config: RecapConfig, *, command: str, flag: str) -> Path:
    if config.label.file is None:
        message = (
            f"Which file? Say it with --{flag}: `recap {command} --project={config.project} "
            f"--{flag}=verdicts.csv`. A file that ends in .parquet does as well."
        )
        raise ConfigError(message)
    return config.label.file

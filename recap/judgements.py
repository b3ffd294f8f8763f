"""Where a project's judgements are: in its own ``outcomes.db``, or in a database that it names.

Whoever reads or adds a judgement opens the store here, so that no command ever looks in the other
place. ``database.json`` notes the database once one was named, without its password: that comes
with the address, from ``PGPASSWORD`` or from ``~/.pgpass``.

Names of episodes repeat between projects, so judgements that lie outside of the folder, in such a
database or in a browser that waits for its server, carry the id of their project.
"""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from data.errors import ProjectError
from data.files import locked, read_json, write_json_atomically

if TYPE_CHECKING:
    from data.outcomes import OutcomeStore
    from data.verdicts import Decision, DecisionRule
    from recap.project import Project

_FILE_ADDRESS: Final = "sqlite:///"


@dataclass(frozen=True, slots=True)
class _Note:
    """What ``database.json`` holds."""

    url: str
    """The address of the database, without a password."""

    project_id: str
    """What the project is called in it: names of episodes repeat between projects."""


def open_outcomes(project: Project, database_url: str = "") -> OutcomeStore:
    """Open the store of a project's judgements; the caller closes it.

    Args:
        project: Whose judgements.
        database_url: A database to keep them in, from now on: it is noted when it is named for
            the first time. Empty for the one that is noted, else ``outcomes.db``.

    Raises:
        ProjectError: If the project keeps its judgements somewhere else already, if the database
            belongs to another project, or if it cannot be reached.
    """
    # Only here: `recap --help` does not wait for the database library.
    from data.outcomes import OutcomeStore

    note = _read(project)
    if database_url:
        note = _agreed(project, note, database_url)
    if note is None:
        return OutcomeStore(project.outcomes)
    store = OutcomeStore(_absolute(database_url) or note.url)
    try:
        store.claim(note.project_id)
    except ProjectError:
        store.close()
        raise
    return store


def read_decisions(
    project: Project, rule: DecisionRule, database_url: str = ""
) -> dict[str, Decision]:
    """Return what the rule makes of every episode for which a verdict stands.

    To look for judgements makes no empty store of them.

    Raises:
        ProjectError: As `open_outcomes`.
    """
    if not database_url and _read(project) is None and not project.outcomes.exists():
        return {}
    with closing(open_outcomes(project, database_url)) as store:
        return store.decisions(rule)


def project_id(project: Project) -> str:
    """Return what tells a project from every other one, whatever it is called and wherever it lies.

    It is made once and kept, so that what was said of one project is never taken for a word on
    another. A database that the project names knows it by an id already; that one is used. A copy
    of the folder is the same project to it.

    Raises:
        ProjectError: If the file that keeps it is damaged.
    """
    if not project.id_file.exists():
        with locked(project.folder):
            # Somebody else may have made it while this one waited.
            if not project.id_file.exists():
                note = _read(project)
                made = uuid.uuid4().hex if note is None else note.project_id
                write_json_atomically(project.id_file, {"project_id": made})
    content = read_json(project.id_file)
    if not isinstance(content, dict) or not content.get("project_id"):
        message = (
            f"{project.id_file} does not say the id of the project. Restore it, or delete it: a "
            f"new one is made, and verdicts that still wait in a browser are not sent any more."
        )
        raise ProjectError(message)
    return str(content["project_id"])


def where_judgements_are(project: Project) -> Path:
    """Return the file of the project that holds the judgements, or says which database does."""
    return project.outcomes if _read(project) is None else project.database


def _read(project: Project) -> _Note | None:
    if not project.database.exists():
        return None
    content = read_json(project.database)
    try:
        return _Note(**{name: str(content[name]) for name in ("url", "project_id")})
    except (KeyError, TypeError) as error:
        message = (
            f"{project.database} does not say which database has the judgements (no {error}). "
            f"Restore it; without it, `recap` would look for them in {project.outcomes.name}."
        )
        raise ProjectError(message) from error


def _agreed(project: Project, note: _Note | None, database_url: str) -> _Note:
    """Note a database that is named for the first time, or check it against the one that is."""
    from data.database import shown

    address = shown(_absolute(database_url))
    if note is None:
        with locked(project.folder):
            note = _read(project) or _begin(project, address, database_url)
    if note.url != address:
        message = (
            f"The judgements of {project.folder} are in {note.url}, as {project.database.name} "
            f"says, not in {address}. Leave --database-url out. To move them: `recap "
            f"export-verdicts --project={project.folder} --to=verdicts.csv`, move "
            f"{project.database.name} away, then `recap import-verdicts` with the new address."
        )
        raise ProjectError(message)
    return note


def _begin(project: Project, address: str, database_url: str) -> _Note:
    """Give the project its place in a database, unless it has judgements that would stay behind."""
    from data.outcomes import OutcomeStore

    if project.outcomes.exists():
        with closing(OutcomeStore(project.outcomes)) as store:
            is_used = bool(store.since(0))
        if is_used:
            message = (
                f"{project.outcomes} holds judgements already, and they would stay behind. Take "
                f"them out with `recap export-verdicts --project={project.folder} "
                f"--to=verdicts.csv`, move the file away, and bring them into the database with "
                f"`recap import-verdicts --project={project.folder} --from=verdicts.csv "
                f"--database-url={address}`."
            )
            raise ProjectError(message)
    note = _Note(url=address, project_id=uuid.uuid4().hex)
    with closing(OutcomeStore(_absolute(database_url))) as store:
        # Noted first: a claim whose name nobody remembers would keep the project out for ever.
        write_json_atomically(project.database, asdict(note))
        try:
            store.claim(note.project_id)
        except ProjectError:
            project.database.unlink()
            raise
    return note


def _absolute(url: str) -> str:
    """Make the address of a file independent of the folder that a command is typed in."""
    if not url.startswith(_FILE_ADDRESS):
        return url
    path = Path(url.removeprefix(_FILE_ADDRESS))
    return f"{_FILE_ADDRESS}{path.absolute()}" if path.name else url

"""Where a project's judgements are, and that no command looks for them anywhere else."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from data import outcomes as outcomes_module
from data.errors import ProjectError
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.verdicts import LATEST_RULE, DecisionRule, Rule
from recap.judgements import open_outcomes, project_id, read_decisions, where_judgements_are
from recap.project import Project


@pytest.fixture
def project(tmp_path):
    (tmp_path / "run").mkdir()
    return Project(tmp_path / "run")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/shared.db"


def judge(project, database_url=""):
    with closing(open_outcomes(project, database_url)) as store:
        store.judge("one", Outcome.SUCCESS, rater="anna")


def judged(project, database_url=""):
    return list(read_decisions(project, LATEST_RULE, database_url))


def refusal(project, database_url=""):
    with pytest.raises(ProjectError) as caught:
        open_outcomes(project, database_url)
    return str(caught.value)


def test_judgements_are_in_the_projects_own_file(project):
    judge(project)
    assert judged(project) == ["one"]
    assert where_judgements_are(project) == project.outcomes
    assert [path.name for path in project.folder.glob("*.json")] == []


def test_to_look_for_judgements_makes_no_store(project, url, tmp_path):
    assert judged(project) == []
    assert list(project.folder.iterdir()) == []


def test_the_rule_decides(project):
    with closing(open_outcomes(project)) as store:
        store.judge("one", Outcome.FAILURE, rater="anna")
        store.judge("one", Outcome.SUCCESS, rater="ben")
    decided = read_decisions(project, LATEST_RULE)["one"]
    assert (decided.outcome, decided.is_disputed) == (Outcome.SUCCESS, True)
    undecided = read_decisions(project, DecisionRule(rule=Rule.UNANIMOUS))["one"]
    assert undecided.outcome is None


def test_a_database_that_was_named_once_is_used_from_then_on(project, url, tmp_path):
    judge(project, url)
    assert judged(project) == judged(project, url) == ["one"]
    assert not project.outcomes.exists()
    assert where_judgements_are(project) == project.database
    noted = json.loads(project.database.read_text())
    assert noted["url"] == url
    assert len(noted["project_id"]) == 32
    with closing(OutcomeStore(tmp_path / "shared.db")) as store:
        assert list(store.outcomes()) == ["one"]


def test_a_file_is_found_from_every_folder(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    judge(project, "sqlite:///shared.db")
    monkeypatch.chdir("/")
    assert judged(project) == ["one"]
    assert json.loads(project.database.read_text())["url"] == f"sqlite:///{tmp_path}/shared.db"


def test_another_database_than_the_one_that_is_noted_is_refused(project, url, tmp_path):
    judge(project, url)
    other = f"sqlite:///{tmp_path}/other.db"
    assert refusal(project, other) == (
        f"The judgements of {project.folder} are in {url}, as database.json says, not in {other}. "
        f"Leave --database-url out. To move them: `recap export-verdicts "
        f"--project={project.folder} --to=verdicts.csv`, move database.json away, then `recap "
        f"import-verdicts` with the new address."
    )
    assert not (tmp_path / "other.db").exists()


def test_judgements_are_not_left_behind(project, url, tmp_path):
    judge(project)
    assert refusal(project, url) == (
        f"{project.outcomes} holds judgements already, and they would stay behind. Take them out "
        f"with `recap export-verdicts --project={project.folder} --to=verdicts.csv`, move the file "
        f"away, and bring them into the database with `recap import-verdicts "
        f"--project={project.folder} --from=verdicts.csv --database-url={url}`."
    )
    assert not (tmp_path / "shared.db").exists()
    assert judged(project) == ["one"]


def test_an_empty_file_of_the_project_is_no_hindrance(project, url):
    open_outcomes(project).close()
    judge(project, url)
    assert judged(project) == ["one"]


def test_a_database_serves_one_project_alone(project, url, tmp_path):
    judge(project, url)
    (tmp_path / "second").mkdir()
    second = Project(tmp_path / "second")
    said = refusal(second, url)
    assert "holds the verdicts of another project" in said
    assert list(second.folder.iterdir()) == []  # it may still choose another
    judge(second)
    assert judged(second) == ["one"]


def test_a_project_whose_first_claim_was_cut_short_claims_again(project, url):
    judge(project, url)
    noted = json.loads(project.database.read_text())
    elsewhere = url.replace("shared", "fresh")
    project.database.write_text(json.dumps({**noted, "url": elsewhere}))
    judge(project)
    assert judged(project, elsewhere) == ["one"]


def test_a_damaged_note_is_named(project):
    project.database.write_text('{"url": "sqlite:///x.db"}')
    assert refusal(project) == (
        f"{project.database} does not say which database has the judgements (no 'project_id'). "
        f"Restore it; without it, `recap` would look for them in outcomes.db."
    )


class PretendedStore:
    """A store that only says where it would be."""

    locations: list[str | Path]

    def __init__(self, location):
        self.locations.append(location)

    def claim(self, project_id):
        pass

    def close(self):
        pass


def test_a_password_is_used_and_never_written_down(project, monkeypatch):
    PretendedStore.locations = []
    monkeypatch.setattr(outcomes_module, "OutcomeStore", PretendedStore)
    address = "postgresql://anna:correct-horse@server:5432/recap?password=battery"
    open_outcomes(project, address)
    assert set(PretendedStore.locations) == {address}
    assert "anna@server:5432/recap" in project.database.read_text()
    for secret in ("correct-horse", "battery"):
        assert secret not in project.database.read_text()
    PretendedStore.locations = []
    open_outcomes(project)
    open_outcomes(project, "postgresql://anna:staple@server:5432/recap")  # the password changed
    assert PretendedStore.locations == [
        "postgresql://anna@server:5432/recap",
        "postgresql://anna:staple@server:5432/recap",
    ]


def test_a_project_has_an_id_of_its_own_that_stays(project, tmp_path):
    (tmp_path / "other").mkdir()
    found = project_id(project)
    assert len(found) == 32
    assert project_id(project) == found
    assert project_id(Project(tmp_path / "other")) != found
    assert project_id(Project(project.folder.rename(tmp_path / "moved"))) == found


def test_a_project_that_a_database_knows_has_the_id_that_it_has_there(project, url):
    judge(project, url)
    assert project_id(project) == json.loads(project.database.read_text())["project_id"]


def test_a_project_keeps_its_id_when_it_names_a_database_later(project, url):
    found = project_id(project)
    judge(project, url)
    assert project_id(project) == found
    # A copy of the folder has the same id, and must not share a database unnoticed.
    assert json.loads(project.database.read_text())["project_id"] != found


def test_all_who_ask_for_an_id_at_once_are_told_the_same(project):
    start = threading.Barrier(8)

    def ask(_number):
        start.wait()
        return project_id(project)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


@pytest.mark.parametrize("content", ["{}", "[]", '"a"', '{"project_id": ""}'])
def test_a_damaged_id_is_named(project, content):
    project.id_file.write_text(content)
    with pytest.raises(ProjectError) as caught:
        project_id(project)
    assert str(caught.value) == (
        f"{project.id_file} does not say the id of the project. Restore it, or delete it: a new "
        f"one is made, and verdicts that still wait in a browser are not sent any more."
    )

"""A project that is open in a browser, for the tests of the API."""

import itertools
import shutil

import pytest

from data.outcomes import OutcomeStore
from data.verdicts import DecisionRule
from recap.project import Project
from recap.web.app import create_app

_numbers = itertools.count()


class Form:
    """A project that is open in a browser."""

    def __init__(self, project, talk_to, **about):
        self.project = project
        self.store = OutcomeStore(project.outcomes)
        self.app = create_app(project, self.store, **({"rule": DecisionRule()} | about))
        self.desk = self.app.state.desk
        self._talk_to = talk_to
        self.client = talk_to(self.app)
        self.look()

    def look(self):
        """Have the catalogue read everything now, instead of within a second."""
        while self.desk.catalogue.refresh():
            pass

    def another_client(self):
        return self._talk_to(self.app)

    def get(self, path, status=200, **query):
        answer = self.client.get(path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path, content, status=201):
        answer = self.client.post(path, json=content)
        assert answer.status_code == status, answer.text
        return answer.json() if status != 204 else answer.content

    def judge(self, uid, verdict, rater="Anna", status=201, **about):
        content = {"rater": rater, "verdict": verdict, "request_id": request_id()} | about
        return self.post(f"/api/episodes/{uid}/verdicts", content, status)

    def withdraw(self, line, rater="Anna", status=201, **about):
        content = {"rater": rater, "request_id": request_id()} | about
        return self.post(f"/api/verdicts/{line}/withdrawal", content, status)

    def queue(self, **query):
        return [card["uid"] for card in self.get("/api/queue", **query)["episodes"]]

    def close(self):
        self.client.close()
        self.desk.close()
        self.store.close()


def request_id():
    return f"request-{next(_numbers)}"


@pytest.fixture
def open_project(talk_to):
    opened = []

    def open_project(project, **about):
        opened.append(Form(project, talk_to, **about))
        return opened[-1]

    yield open_project
    for form in opened:
        form.close()


@pytest.fixture
def form(project, open_project):
    """Six attempts, nobody's verdict on any."""
    return open_project(project)


@pytest.fixture(scope="session")
def unmoved(square, talk_to, tmp_path_factory):
    """The same, for tests in which everything is refused: opening takes a quarter of a second."""
    folder = tmp_path_factory.mktemp("unmoved") / "square"
    opened = Form(Project(shutil.copytree(square.folder, folder)), talk_to)
    yield opened
    assert opened.store.since() == []
    opened.close()

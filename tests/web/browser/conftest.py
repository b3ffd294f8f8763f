"""The form as a process of its own, and people before it in a real Chromium."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection

import pytest
from playwright.sync_api import sync_playwright

from data.outcomes import OutcomeStore

CHROMIUM_FLAGS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SERVER_AWAY = (
    *("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"),
    *("ERR_CONTENT_LENGTH_MISMATCH", "ERR_INCOMPLETE_CHUNKED_ENCODING"),  # killed as it answered
    "status of 421",  # another project's server is in its place
)


@pytest.fixture(scope="module")
def chromium(chromium_path):
    """The Chromium of this machine, without a window; its loop must not outlive a file's tests."""
    flags = [*CHROMIUM_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=flags)
        yield browser
        browser.close()


class RunningForm:
    """``recap label`` as a process that can be killed and started again at the same address."""

    def __init__(self, project, *flags):
        self.project = project
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        words = [sys.executable, "-m", "recap.cli", "label", f"--project={project.folder}"]
        self._words = [*words, f"--port={port}", "--form.open_browser=false", *flags]
        self._log = project.folder / "form.log"
        self._process = None

    def start(self):
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._words, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.02)
        return self

    def _answers(self):
        try:
            with closing(HTTPConnection(self.address.removeprefix("http://"), timeout=5)) as asked:
                asked.request("GET", "/api/project")
                return asked.getresponse().status in {200, 401}
        except OSError:
            return False

    def kill(self):
        """Give it no time to finish anything."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)

    def judgements(self):
        """Every line of the database, oldest first."""
        store = OutcomeStore(self.project.outcomes)
        lines = store.since(0)
        store.close()
        return lines


class Person:
    """Somebody before the form, and what they do there again and again."""

    def __init__(self, page):
        self.page = page

    def shown(self):
        """The uid of the episode on the screen."""
        return self.page.locator("#player").get_attribute("data-uid")

    def wait_for(self, uid):
        self.page.locator(f"#player[data-uid='{uid}']").wait_for()

    def wait_for_another(self, uid=""):
        """Wait until another episode is on the screen, and return which."""
        self.page.wait_for_function(
            """uid => {
                const { dataset } = document.querySelector("#player");
                return !["", uid].includes(dataset.uid) && dataset.ready === "true";
            }""",
            arg=uid,
        )
        return self.shown()

    def wait_until_nothing_waits(self):
        """Wait until the server has acknowledged everything that was said."""
        self.page.wait_for_function(
            """() => document.querySelector("#away").hidden
                && !Object.keys(localStorage).some((key) => key.includes("waiting/"))"""
        )

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def judge(self, key):
        """Press the key of a verdict, and return which episode it was about.

        The next one is on the screen by then.
        """
        uid = self.shown()
        self.press(key)
        self.wait_for_another(uid)
        return uid


@pytest.fixture(scope="module")
def open_form():
    """Start forms, and stop them when the tests of a file are over."""
    running = []

    def opened(project, *flags):
        running.append(RunningForm(project, *flags))
        return running[-1].start()

    yield opened
    for form in running:
        form.stop()


@pytest.fixture
def sit_down(chromium):
    """Let people sit down before a form; whatever their browsers complain of fails the test."""
    contexts, complaints, outside = [], [], []

    def sat_down(form, rater, *, path="/label", is_server_away_at_times=False, **device):
        context = chromium.new_context(base_url=form.address, **device)
        context.set_default_timeout(10_000)
        contexts.append(context)

        def listen(page):
            page.on("pageerror", lambda error: complaints.append(f"{rater}: {error}"))
            page.on("console", complain)

        def complain(message):
            is_about_server = any(word in message.text for word in SERVER_AWAY)
            if message.type == "error" and not (is_server_away_at_times and is_about_server):
                complaints.append(f"{rater}: {message.text} {message.location}")

        def notice(request):
            if not request.url.startswith((form.address + "/", "blob:" + form.address, "data:")):
                outside.append(request.url)

        context.on("page", listen)
        context.on("request", notice)
        page = context.new_page()
        page.goto(path)
        if rater:
            page.locator("#rater-name").fill(rater)
            page.locator("#rater-name").press("Enter")
            Person(page).wait_for_another()
        return Person(page)

    yield sat_down
    for context in contexts:
        context.close()
    assert complaints == []
    assert outside == []

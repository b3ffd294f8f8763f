import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.error import HTTPError

import pytest

from data.errors import ConfigError
from data.outcomes import OutcomeStore
from data.verdicts import DecisionRule
from recap.web import server
from recap.web.config import FormConfig
from recap.web.server import link_to, serve

TOKEN = "a-token-of-many-characters"  # noqa: S105 - opens only what a test has made

PROGRAM = """
import sys
import time
from pathlib import Path
from data.outcomes import OutcomeStore
from data.verdicts import DecisionRule
from recap.project import Project
from recap.web.config import FormConfig
from recap.web.server import serve

project = Project(Path(sys.argv[1]))
store = OutcomeStore(project.outcomes)
form = FormConfig(host=sys.argv[2], port=0, open_browser=False)

def say(line):
    print(f"{line} {time.process_time():.3f}", flush=True)

serve(project, store, form, rule=DecisionRule(), say=say)
heavy = {"torch", "lerobot", "pandas", "matplotlib", "scipy", "av", "cv2"} & set(sys.modules)
print("ended", sorted(heavy), flush=True)
"""


@pytest.fixture
def started(project):
    """Start a form in a process of its own; return it, its link, and the seconds it computed."""
    running = []

    def start(host="127.0.0.1"):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(project.folder), host],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        line = process.stdout.readline()
        found = re.fullmatch(r"Judge at (http://\S+) \(Ctrl-C stops\)\. (\S+)\n", line)
        return process, found[1], float(found[2])

    yield start
    for process in running:
        process.kill()
        process.communicate()


def opened(link):
    """Return the status of an address of ours."""
    try:
        with urllib.request.urlopen(link, timeout=10) as answer:  # noqa: S310 - one of ours
            return answer.status
    except HTTPError as error:
        error.close()
        return error.code


@pytest.mark.slow
def test_the_form_starts_in_two_seconds_and_imports_nothing_heavy(started):
    process, link, seconds = started()
    assert seconds < 2.0
    assert link.startswith("http://127.0.0.1:")
    assert link.endswith("/label")
    for target in ("/", "/label", "/api/project", "/api/queue", "/api/progress", "/api/agreement"):
        assert opened(link.replace("/label", target)) == 200
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=5)
    assert (out, err, process.returncode) == ("ended []\n", "", 0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_form_ends_at_once_with_connections_open(started, number):
    process, link, _ = started()
    port = int(link.split(":")[2].split("/")[0])
    idle, half, slow = (socket.create_connection(("127.0.0.1", port)) for _ in range(3))
    idle.sendall(b"GET /api/project HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert idle.recv(12) == b"HTTP/1.1 200"
    half.sendall(b"GET /api/proj")
    slow.sendall(
        b"POST /api/episodes/x/look HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    time.sleep(0.1)
    begun = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert time.monotonic() - begun < 4.0  # a second and a half, where nothing else runs
    assert process.returncode == 0
    assert (out, err) == ("ended []\n", "")
    for connection in (idle, half, slow):
        connection.close()


@pytest.mark.slow
def test_outside_of_this_machine_a_token_is_made_up_and_in_the_link_alone(started):
    process, link, _ = started("0.0.0.0")  # noqa: S104 - the point of the test
    address, token = link.split("?token=")
    assert len(token) >= 32
    port = address.split(":")[2].split("/")[0]
    assert opened(f"http://127.0.0.1:{port}/label") == 401
    assert opened(f"http://127.0.0.1:{port}/label?token={token[:-1]}") == 401
    assert (
        opened(f"http://127.0.0.1:{port}/label?token={token}") == 401
    )  # this client has no cookies
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/project", headers={"Authorization": f"Bearer {token}"}
    )
    assert opened(request) == 200
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=5)
    assert token not in out + err


def refused(project, form):
    store = OutcomeStore(project.outcomes)
    said = []
    with pytest.raises(ConfigError) as error:
        serve(project, store, form, rule=DecisionRule(), say=said.append)
    store.close()
    assert said == []
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_port_that_is_taken_is_named(project):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refused(project, FormConfig(port=port)) == (
            f"The form cannot be served at 127.0.0.1, port {port}: another program listens there "
            f"already. Choose another port with --form.port=..., or 0 for any that is free."
        )


def test_an_address_of_another_machine_is_named(project):
    assert refused(project, FormConfig(host="192.0.2.7", port=0, token=TOKEN)) == (
        "The form cannot be served at 192.0.2.7, port 0: this machine has no such address. Leave "
        "--form.host out for this machine alone, or type --form.host=0.0.0.0 for all of its "
        "addresses."
    )


@pytest.mark.parametrize("host", ["no.such.name.invalid", "a" * 300, ".", "127.0.0.1:80"])
def test_a_name_that_is_none_is_named(project, host, monkeypatch):
    def unknown(*_args, **_kwargs):
        raise socket.gaierror

    if host == "no.such.name.invalid":  # asks no name server in a test
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    words = refused(project, FormConfig(host=host, port=0, token=TOKEN))
    assert words == f"form.host: there is no address called '{host}'."


def test_a_weak_token_in_the_environment_is_refused(project, monkeypatch):
    monkeypatch.setenv("RECAP_FORM_TOKEN", "secret")
    assert refused(project, FormConfig(port=0)) == (
        "RECAP_FORM_TOKEN must be at least 16 letters, digits or signs without spaces. Leave it "
        "out where the server starts, and one is made up."
    )


@pytest.mark.parametrize(
    "token", ["short", "fifteen-letters", "with a space in it", "pässwört-pässwört"]
)
def test_a_token_that_is_easily_guessed_or_cannot_be_sent_is_refused(token):
    with pytest.raises(ConfigError, match=r"^form\.token must be at least 16 letters"):
        FormConfig(token=token)


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("127.0.0.1", "http://127.0.0.1:8420/label"),
        ("localhost", "http://localhost:8420/label"),
        ("::1", "http://[::1]:8420/label"),
        ("robot-7", "http://robot-7:8420/label"),
    ],
)
def test_the_link_opens_the_form(host, link):
    assert link_to(host, 8420, token="") == link
    odd = "a&b#c+d?e%f/g=h;i"
    assert link_to(host, 8420, token=odd) == f"{link}?token=a%26b%23c%2Bd%3Fe%25f%2Fg%3Dh%3Bi"


def test_the_link_for_every_address_names_one_that_others_can_open(monkeypatch):
    link = link_to("0.0.0.0", 8420, token="")  # noqa: S104 - the point of the test
    assert "0.0.0.0" not in link  # noqa: S104
    monkeypatch.setattr(socket, "gethostname", lambda: "robot-7")
    assert link_to("::", 8420, token="") == "http://robot-7:8420/label"


@pytest.mark.parametrize(
    ("host", "is_for_this_machine_only"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("robot-7", False)],  # noqa: S104
)  # fmt: skip
def test_only_this_machines_own_addresses_need_no_token(host, is_for_this_machine_only):
    assert FormConfig(host=host).is_for_this_machine_only is is_for_this_machine_only


@pytest.mark.parametrize(("has_screen", "token", "opens"), [(True, "", True), (False, "", False),
                                                             (True, TOKEN, False)])  # fmt: skip
def test_a_browser_is_opened_where_there_is_a_screen_and_no_secret(
    project, monkeypatch, has_screen, token, opens
):
    links, said = [], []
    monkeypatch.setattr(server, "_has_screen", lambda: has_screen)
    monkeypatch.setattr(server.webbrowser, "open", links.append)
    monkeypatch.setattr(server._Server, "run", lambda self, sockets: time.sleep(0.05))
    store = OutcomeStore(project.outcomes)
    serve(project, store, FormConfig(port=0, token=token), rule=DecisionRule(), say=said.append)
    store.close()
    assert len(said) == 1
    assert bool(links) is opens
    assert all(link in said[0] for link in links)

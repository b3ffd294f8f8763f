"""Every command of docs/label.md is run, in the order of the page; the keys are the form's own."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import pytest

from recap.cli import main
from recap.settings import FORM_SHORT_NAMES, SHORT_NAMES, read_settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "label.md"
GUIDE = PAGE.read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^ {4}(\S.*)$", GUIDE, re.MULTILINE)]
LARGEST_PICTURE_BYTES = 150_000

# What is appended to a command of the page, so that it does not take long.
QUICK = {"collect": ["--demonstrations.episodes=2", "--workers=1"]}


def test_every_link_and_picture_of_the_page_is_there():
    headings = re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-").replace("'", "") for heading in headings}
    targets = re.findall(r"\]\(([^)]+)\)", GUIDE) + re.findall(r'src="([^"]+)"', GUIDE)
    assert sum(target.endswith(".png") for target in targets) >= 4
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (PAGE.parent / target.partition("#")[0]).exists(), target


def test_the_pictures_are_small():
    sizes = {path.name: path.stat().st_size for path in PAGE.parent.glob("pictures/label-*.png")}
    assert sizes
    assert {name for name, size in sizes.items() if size > LARGEST_PICTURE_BYTES} == set()


def test_the_page_tells_every_key_of_the_form():
    script = (ROOT / "recap" / "web" / "static" / "form" / "keys.js").read_text(encoding="utf-8")
    actions = re.findall(r"keys: \[(.*?)\].*?action: '(\w+)'", script)
    assert len(actions) > 10
    table = set(re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| `.*", GUIDE, re.MULTILINE))))
    names = {"ArrowLeft": "←", "ArrowRight": "→", " ": "space"}
    for keys, action in actions:
        first = re.findall(r"'([^']+)'", keys)[0]
        assert names.get(first, first) in table, action


def test_a_database_of_the_page_is_a_setting():
    (words,) = (words for words in COMMANDS if "postgresql" in " ".join(words))
    names = {**SHORT_NAMES, **FORM_SHORT_NAMES}
    config = read_settings(words[2:], short_names=names)
    assert config.label.database_url == "postgresql://anna@server/recap"


def open_and_close(words):
    """Open the form, follow the link that it prints, and press Ctrl-C."""
    command = [sys.executable, "-m", "recap.cli", *words[1:], "--port=0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("DISPLAY", None)
    # The link's token is kept as a cookie; a proxy knows nothing of this machine.
    browser = build_opener(HTTPCookieProcessor(), ProxyHandler({}))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as form:
        try:
            # Before the link may come what the project remembers from now on.
            lines = iter(form.stdout.readline, "")
            link = next(filter(None, (re.search(r"http://\S+/label\S*", line) for line in lines)))[
                0
            ]
            with browser.open(link, timeout=10) as page:
                assert b"rater-name" in page.read()
            form.send_signal(signal.SIGINT)
            assert "The form is closed" in form.stdout.read()
        finally:
            form.kill()
    assert form.returncode == 0


@pytest.mark.slow
@pytest.mark.render
def test_the_commands_of_the_page_run_in_their_order(tmp_path, monkeypatch, capsys):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ran = set()
    for words in COMMANDS:
        if "postgresql" in " ".join(words):
            continue
        if words[1] == "label":
            open_and_close(words)
        else:
            assert main([*words[1:], *QUICK.get(words[1], [])]) == 0, capsys.readouterr().err
        ran.add(words[1])
    assert ran == {"collect", "label", "auto-label", "export-verdicts", "import-verdicts"}
    assert (tmp_path / "verdicts.csv").read_text().count("\n") == 3
    assert "0 verdicts added, 2 were there already" in capsys.readouterr().out

"""docs/value.md: every command is one, every setting exists, every picture is there and small."""

import re
import shlex
from pathlib import Path

import pytest

from recap.cli import COMMANDS
from recap.settings import SHORT_NAMES, read_settings, settings_of

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "value.md").read_text(encoding="utf-8")
MOST_BYTES = 150_000


def commands():
    """The indented `recap` and `torchrun` lines, comments and line breaks taken out."""
    joined = GUIDE.replace("\\\n", " ")
    lines = re.findall(r"^ {4}(\S.*)$", joined, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_the_page_has_its_commands():
    assert len(commands()) == 10


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_of_the_page_is_understood(words):
    while words[0] not in {"recap", "recap.cli"}:
        words = words[1:]
    command = COMMANDS[words[1]]
    flags = [
        word for word in words[2:] if not word.startswith("configs/") and word != "--config_path"
    ]
    config = read_settings(flags, short_names={**SHORT_NAMES, **command.short_names})
    assert config.project.parts[0] == "runs"


def test_every_setting_that_the_page_names_exists():
    known = {setting.name for setting in settings_of(tuple(COMMANDS["iterate"].sections))}
    named = set(re.findall(r"`(?:--)?(value\.[a-z_.]+|advantage\.[a-z_]+)", GUIDE))
    groups = {name.rpartition(".")[0] for name in known}
    assert named - known - groups == set()
    assert len(named) > 10


def test_every_link_of_the_page_leads_somewhere():
    headings = re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif "://" not in target:
            assert (ROOT / "docs" / target.partition("#")[0]).exists(), target


def test_every_picture_is_shown_and_small():
    shown = set(re.findall(r"\(pictures/(value-[a-z-]+\.png)\)", GUIDE))
    there = {path.name: path for path in (ROOT / "docs" / "pictures").glob("value-*.png")}
    assert shown == set(there)
    assert {name for name, path in there.items() if path.stat().st_size > MOST_BYTES} == set()

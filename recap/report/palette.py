"""The colours of the page, for pictures that cannot follow a style sheet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_COLOUR = re.compile(r"--([a-z0-9-]+): (#[0-9a-f]{6})\b")


@cache
def light_colours() -> Mapping[str, str]:
    """Give name to ``#rrggbb`` of every plain colour of the light palette, from ``palette.css``."""
    sheet = (files("recap.report") / "templates" / "palette.css").read_text(encoding="utf-8")
    light, _, _dark = sheet.partition("@media")
    return MappingProxyType(dict(_COLOUR.findall(light)))

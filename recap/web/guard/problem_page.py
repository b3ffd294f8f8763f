"""The page that a person sees in place of one that is refused.

It brings its styles along: whoever lacks the token gets nothing else from here.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

_PALETTE: Final = Path(str(files("recap.report"))) / "templates" / "palette.css"
_BASE: Final = Path(__file__).parents[1] / "static" / "base.css"

_OWN: Final = """
.refused { max-width: 36rem; margin: 14vh auto 0; padding: 0 max(18px, env(safe-area-inset-left)); }
.refused h1 { font-size: 26px; line-height: 1.25; margin-bottom: 10px; }
.refused p { margin-bottom: 14px; }
.refused .plain { color: inherit; }
"""

_PAGE: Final = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">'
    '<meta name="color-scheme" content="light dark"><title>{title} · RECAP</title>'
    '<style>{style}</style></head><body><header class="top"><span class="brand">RECAP</span>'
    '</header><main class="refused"><h1>{title}</h1><p>{detail}</p>{onward}</main></body></html>'
)

_TITLES: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.UNAUTHORIZED: "This form needs its link",
    HTTPStatus.NOT_FOUND: "Nothing is here",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Nothing is here",
    HTTPStatus.FORBIDDEN: "Not from here",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database does not answer",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong",
}

_TRY_AGAIN: Final = Markup('<p><a class="primary" href="">Try again</a></p>')
_TO_THE_START: Final = Markup(
    '<p><a class="primary" href="/label">Judge attempts</a> <a class="plain" href="/">Dashboard</a>'
    "</p>"
)
_ONWARD: Final[Mapping[HTTPStatus, Markup]] = {
    HTTPStatus.UNAUTHORIZED: Markup(
        "<p>It is in the terminal in which the form was started; ask whoever did that. A form that "
        "was started again has a new link: open it in this browser, and verdicts that wait here "
        "are sent.</p>"
    ),
    HTTPStatus.FORBIDDEN: Markup(""),
    HTTPStatus.NOT_FOUND: _TO_THE_START,
    HTTPStatus.UNPROCESSABLE_ENTITY: _TO_THE_START,
}


def problem_page(
    status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Make the page.

    Args:
        status: The kind of refusal.
        detail: Why, in one sentence for a person.
        headers: Headers to send along; the page's own content security policy takes the place of
            another one.
    """
    style, policy = _style()
    page = _PAGE.format(
        title=_TITLES.get(status, status.phrase),
        style=style,
        detail=detail,
        onward=_ONWARD.get(status, _TRY_AGAIN),
    )
    own = {**(headers or {}), "Content-Security-Policy": policy}
    return HTMLResponse(page, status_code=status, headers=own)


@cache
def _style() -> tuple[Markup, str]:
    """Return the styles, and a policy that allows them and nothing else."""
    style = "".join([*(path.read_text(encoding="utf-8") for path in (_PALETTE, _BASE)), _OWN])
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'"
    )
    return Markup(style), policy  # noqa: S704 - files of our own

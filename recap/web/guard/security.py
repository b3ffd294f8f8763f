"""Who may ask: this machine or who shows the token, and to change something, our own pages alone.

Pure ASGI, so that it holds for every address: pages, videos, static files and errors alike. What
it defends against is in `tests/web/attacks`.
"""

import hashlib
import hmac
import re
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from markupsafe import Markup
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from recap.web.guard.bodies import header
from recap.web.guard.problems import problem

TOKEN_PARAMETER: Final = "token"  # noqa: S105 - the name of a parameter, not a token
COOKIE_DAYS: Final = 30

_THIS_MACHINE: Final = re.compile(rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?")
_READING: Final = frozenset({"GET", "HEAD"})

_ONWARD: Final = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>One moment</title>'
    '<meta http-equiv="refresh" content="0;url={address}"></head>'
    '<body><p><a href="{address}">Go on</a></p></body></html>'
)


class Guard:
    """ASGI middleware that turns away whoever may not ask."""

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        """Stand before ``app``.

        Args:
            app: What is guarded.
            token: What a browser must show; empty if only this machine can connect.
        """
        self._app = app
        self._token = token.encode()
        # Cookies know no ports: a name of its own for each token lets two projects be open in one
        # browser. The token itself is not in the cookie.
        digest = hashlib.sha256(b"recap form " + self._token).hexdigest()
        self._cookie_name, self._cookie = f"recap-{digest[:8]}", digest[8:]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket: nothing here speaks it
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = self._from_elsewhere(scope) or self._without_token(scope)
        await (answer or self._app)(scope, receive, send)

    def _from_elsewhere(self, scope: Scope) -> Response | None:
        """Refuse what a page of another site had a browser send here.

        A foreign name that was made to point at this machine gives itself away by its Host. With a
        token this is no danger, as the cookie is not sent to a foreign name; and the name under
        which others know this machine is not known here.
        """
        hosts = header(scope, b"host")
        is_named = len(hosts) == 1
        if not is_named or not (self._token or _THIS_MACHINE.fullmatch(hosts[0].lower())):
            words = "This form answers only to localhost. Open the link that `recap label` printed."
            return problem(scope, HTTPStatus.FORBIDDEN, words)
        if scope["method"] in _READING:
            return None
        own = {scheme + hosts[0].lower() for scheme in (b"http://", b"https://")}
        is_own_page = all(origin.lower() in own for origin in header(scope, b"origin"))
        sites = header(scope, b"sec-fetch-site")
        if not is_own_page or not all(site in {b"same-origin", b"none"} for site in sites):
            words = "A page of another site asked for this, which is not allowed."
            return problem(scope, HTTPStatus.FORBIDDEN, words)
        return None

    def _without_token(self, scope: Scope) -> Response | None:
        if not self._token:
            return None
        is_known = self._shows_token(scope)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        shown = [value for name, value in query if name == TOKEN_PARAMETER]
        if scope["method"] in _READING and shown:
            is_right = any(hmac.compare_digest(value.encode(), self._token) for value in shown)
            if is_right or is_known:
                rest = [(name, value) for name, value in query if name != TOKEN_PARAMETER]
                return self._welcome(scope, rest)
        if is_known:
            return None
        words = "This form needs its token. Open the link that `recap label` printed, as it is."
        return problem(scope, HTTPStatus.UNAUTHORIZED, words, {"WWW-Authenticate": "Bearer"})

    def _shows_token(self, scope: Scope) -> bool:
        for shown in header(scope, b"authorization"):
            kind, _, token = shown.partition(b" ")
            if kind.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token):
                return True
        # latin-1 takes any byte; what is not our cookie will not be equal to it.
        cookies = cookie_parser(b"; ".join(header(scope, b"cookie")).decode("latin-1"))
        found = cookies.get(self._cookie_name, "")
        return hmac.compare_digest(found.encode(), self._cookie.encode())

    def _welcome(self, scope: Scope, query: list[tuple[str, str]]) -> Response:
        """Give a browser its cookie and send it to the same address without the token."""
        # Two slashes in front would name another site, and so would a backslash left unquoted.
        address = "/" + quote(str(scope["path"]).lstrip("/"))
        if query:
            address += f"?{urlencode(query)}"
        answer: Response
        if b"cross-site" in header(scope, b"sec-fetch-site"):
            # A link in a chat of another site: a browser keeps a strict cookie from redirections
            # that began there, but not from a page of our own.
            answer = HTMLResponse(_ONWARD.format(address=address))
        else:
            answer = RedirectResponse(address, status_code=HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            self._cookie_name,
            self._cookie,
            max_age=COOKIE_DAYS * 24 * 3600,
            httponly=True,
            samesite="strict",
        )
        return answer

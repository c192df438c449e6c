"""Who may ask: requests from other sites, under other names, or without the token are refused before any route is reached."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse

from mgm.explore.library import Library

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_HEADERS = {
    # Nothing is loaded from elsewhere: the page works offline, and a name of a file that got into it runs and sends nothing.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # the address contains the token
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Around the whole application:

    * Host must be a name of this machine, so that a site that points its own name here (DNS rebinding) gets nothing;
    * Origin, where a browser sends it, must be the page's own;
    * `/api/` needs the token in a header, which no other site can add, and a session that `/api/session` opened.
    """

    def __init__(self, app: App, *, token: str, hosts: Collection[str], library: Library) -> None:
        self._app, self._token, self._library = app, token, library
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # there are no websockets
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> App | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if _name_of(f"//{host}") not in self._hosts:
            return _text(421, "This address is not the explorer's. Open the address that it printed.\n")
        if origin is not None and origin.partition("://")[2] != host:
            return _text(403, "Requests from other sites are refused.\n")
        path = scope["path"]
        if not path.startswith("/api/"):
            return None
        if not is_token(headers.get("authorization", "").removeprefix("Bearer "), self._token):
            return _json(403, "token", "the token is missing or wrong; open the address that mgm explore printed")
        if path != "/api/session" and not self._library.knows(headers.get("x-session", "")):
            return _json(401, "session", "the session has ended; reload the page")
        return None


def is_token(given: str, token: str) -> bool:
    """Whether the given one is the token, in the same time for each wrong one."""
    return secrets.compare_digest(given.encode(), token.encode())


def _json(status: int, reason: str, message: str) -> App:
    answer: App = JSONResponse({"reason": reason, "message": message}, status)
    return answer


def _text(status: int, message: str) -> App:
    answer: App = PlainTextResponse(message, status)
    return answer


def _name_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _with_headers(send: Send) -> Send:
    """Send with the headers of security, in every response."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        """Add the headers to the start of a response."""
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in _HEADERS.items())]
        await send(message)

    return sending

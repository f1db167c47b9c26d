"""A server that answers nobody but its own page."""

import functools
import ipaddress
import socket
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class OwnPageOnly:
    """Refuses what other web sites make a browser ask of this server, directly or by a name that they own.

    No browser keeps what Gradio answers with: images would stay there after a logout, and after their deletion here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._ours(dict(scope["headers"])):
            await PlainTextResponse("This page is for its own address only.", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, _not_kept(send) if "/gradio_api/" in scope.get("path", "") else send)

    @staticmethod
    def _ours(headers: Mapping[bytes, bytes]) -> bool:
        host, origin = (headers.get(name, b"").decode("latin1") for name in (b"host", b"origin"))
        try:
            return _is_ours(urlsplit(f"//{host}").hostname) and (not origin or urlsplit(origin).netloc == host)
        except ValueError:
            return False


def _not_kept(send: Send) -> Send:
    """Sends the same, with a header that forbids to keep it."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["cache-control"] = "no-store"
        await send(message)

    return sent


def _is_ours(name: str | None) -> bool:
    """Whether a host's name is this machine's, or an address and so nobody's to redirect."""
    try:
        return bool(ipaddress.ip_address(name or ""))
    except ValueError:
        return name in ("localhost", socket.gethostname().lower()) or name == _full_name()


def _full_name() -> str:
    """What this machine calls itself in full, which the network may not know yet: then it is asked a minute later."""
    first = _asked(0)
    known = "." in first and not first.startswith("localhost")
    return first if known else _asked(int(time.monotonic() // 60))


@functools.lru_cache(maxsize=2)
def _asked(_: int) -> str:
    return socket.getfqdn().lower()

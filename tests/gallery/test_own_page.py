"""Who may ask the page's server: its own page, by an address or a name of this machine."""

import socket
import time

import pytest

pytest.importorskip("starlette", reason='needs the extra "app"')

from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from hacnn_tf.gallery import own_page
from hacnn_tf.gallery.own_page import OwnPageOnly


@pytest.mark.parametrize(
    ("host", "origin", "ours"),
    [
        ("127.0.0.1:7860", "http://127.0.0.1:7860", True),
        ("[::1]:7860", "", True),
        ("localhost:7860", "http://localhost:7860", True),
        (f"{socket.gethostname()}:7860", "", True),
        ("evil.example:7860", "", False),
        ("evil.example:7860", "http://evil.example:7860", False),
        ("localhost:7860", "http://evil.example", False),
        ("localhost:7860", "http://localhost:80", False),
        ("[::1:7860", "", False),
        ("", "", False),
    ],
)
def test_nobody_asks_in_another_name(host, origin, ours):
    assert OwnPageOnly._ours({b"host": host.encode(), b"origin": origin.encode()}) == ours


@pytest.mark.parametrize(("path", "kept"), [("/gradio_api/file=/tmp/a.jpg", "no-store"), ("/assets/a.js", None)])
def test_browsers_keep_no_image(path, kept):
    client = TestClient(OwnPageOnly(PlainTextResponse("a")), base_url="http://localhost")
    assert client.get(path).headers.get("cache-control") == kept


def test_a_name_that_the_network_gave_late_is_known_a_minute_later(monkeypatch):
    own_page._asked.cache_clear()
    monkeypatch.setattr(socket, "getfqdn", lambda: "localhost.localdomain")  # as at boot
    monkeypatch.setattr(time, "monotonic", lambda: 60 * 10**6)
    assert not OwnPageOnly._ours({b"host": b"door.example.org"})
    asked = []
    monkeypatch.setattr(socket, "getfqdn", lambda: asked.append(1) or "Door.example.org")
    assert not OwnPageOnly._ours({b"host": b"door.example.org"}) and not asked
    monkeypatch.setattr(time, "monotonic", lambda: 60 * 10**6 + 61)
    assert [OwnPageOnly._ours({b"host": b"door.example.org"}) for _ in range(2)] == [True, True] and len(asked) == 1
    own_page._asked.cache_clear()

"""The page: what it serves and what not, and a search from beginning to end in headless Chromium."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.request import getproxies

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("gradio", reason='needs the extra "app"')

from hacnn_tf import app, index
from hacnn_tf.data.decode import read_image
from hacnn_tf.utils.errors import InputError
from tests.data.test_decode import EVERY, upright
from tests.test_commands import fails

pytestmark = pytest.mark.usefixtures("opened_once")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PROXIES = {  # none of which may be asked for the page's own server, nor keep it from coming up
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://[nonsense",
    "all_proxy": "socks5h://127.0.0.1:9",
    "no_proxy": ".corp.example",
}
WAIT = 120_000  # milliseconds; on a busy machine


@pytest.fixture(scope="module")
def people(small_run, small_data_root, opened_once, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    path, gallery = folder / "people.lance", folder / "gallery"
    shutil.copytree(small_data_root / "synthetic/detected/bounding_box_test", gallery)
    shutil.copy(min(gallery.iterdir()), gallery / "20261124_080000.jpg")  # of no camera, but of a time
    args = ["index", f"--model={small_run}", f"--images={gallery}", f"--database={path}"]
    index.COMMAND.run(index.main, args)
    return path


@pytest.fixture(scope="module")
def query(small_data_root):
    return min(small_data_root.glob("synthetic/detected/query/*.jpg"))


@pytest.fixture(scope="module")
def address(people, tmp_path_factory):
    """The address of a page that is served while the tests of this file run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = tmp_path_factory.mktemp("kept")
    args = [sys.executable, "-m", "hacnn_tf.app", f"--database={people}", f"--port={port}"]
    environment = {**os.environ, **PROXIES, "TMPDIR": str(kept)}
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True, env=environment) as process:
        line = process.stdout.readline()
        assert line == f"Find a person on http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
        yield f"http://127.0.0.1:{port}"
        assert any(kept.iterdir()), "what was shown and uploaded lies there"
        process.send_signal(signal.SIGHUP)  # as when its terminal is closed
        assert process.wait(60) == 128 + signal.SIGHUP
    assert not list(kept.iterdir()), "and is gone with the page"


@pytest.mark.parametrize("kind", ["JPEG", "JPEG of orientation 6", "CMYK JPEG", "PNG of 16 bits", "animated GIF"])
def test_an_upload_is_the_picture_that_the_index_reads(kind, people, tmp_path):
    from gradio.data_classes import ImageData

    from hacnn_tf.gallery import Database, browser
    from hacnn_tf.gallery.audit import Audit

    database = Database(people)
    blocks = browser.page(database, database.load_model(), Audit(None, "hacnn_tf.app"))
    (query,) = [block for block in blocks.blocks.values() if block.elem_id == "query"]
    file = tmp_path / f"a.{'gif' if 'GIF' in kind else kind.split()[-1].lower()}"
    file.write_bytes(EVERY[kind])
    given = query.preprocess(ImageData(path=str(file), orig_name=file.name))
    np.testing.assert_array_equal(read_image(given), upright(EVERY[kind]))


def status(url, data=None, headers=None):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=30).status
    except urllib.error.HTTPError as error:
        return error.code


def upload(address, content):
    """Uploads a file, and gives the status and the path at which the page keeps it."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n' + content + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    try:
        request = urllib.request.Request(f"{address}/gradio_api/upload", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)[0]
    except urllib.error.HTTPError as error:
        return error.code, None


def test_files_are_served_only_if_they_were_shown_or_uploaded(address, people, query, small_run):
    assert status(address) == 200
    shown, kept = upload(address, query.read_bytes())
    assert shown == 200 and status(f"{address}/gradio_api/file={kept}") == 200
    here = os.path.relpath(query, Path.cwd())
    for path in (
        query,  # also if it is a picture of a person, or in the database
        *sorted(people.parent.rglob("*.manifest"))[:1],
        small_run / "config.json",
        "/etc/passwd",
        here,
        "setup.py",
        "hacnn_tf/app.py",
        f"{Path(kept).parent}/../../../../../../../../etc/passwd",
        "..%2f..%2f..%2fetc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "file:///etc/passwd",
    ):
        assert status(f"{address}/gradio_api/file={path}") in (400, 403, 404), path
    for path in (
        "../etc/passwd",
        "static/../../../../setup.py",
        "assets/..%2f..%2f..%2fsetup.py",
        "theme.css/../app.py",
    ):
        assert status(f"{address}/{path}") in (400, 403, 404), path


def test_other_web_sites_get_nothing(address, query):
    own = address.removeprefix("http://")
    upload_of = [f"{address}/gradio_api/upload", b"--x--\r\n"]
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for host, origin in ((own, "http://evil.example"), ("evil.example", "http://evil.example"), (own, "null")):
        headers = {"Host": host, "Origin": origin}
        assert status(address, headers=headers) == 403
        assert status(*upload_of, headers | form) == 403
    assert status(address, headers={"Host": "evil.example"}) == 403
    assert status(address, headers={"Host": own, "Origin": address}) == 200


def test_uploads_are_limited_in_size(address):
    assert upload(address, b"\0" * (10 * 2**20 + 1))[0] == 413
    assert upload(address, b"\0" * (9 * 2**20))[0] == 200


def test_proxies_are_there_again_for_a_database_in_a_bucket(monkeypatch):
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with app._without_proxies():
        assert set(before) - set(os.environ) == set(PROXIES) and not getproxies()
    assert dict(os.environ) == before


def test_bad_input_ends_in_a_sentence(tmp_path, capsys):
    for args, words in (
        ([], "--database must be given"),
        ([f"--database={tmp_path}/none.lance"], "is not a database of features"),
        ([f"--database={tmp_path}/none.lance", "--port=0"], "--port"),
    ):
        assert words in fails(app, args, capsys)


def test_a_port_in_use_and_a_host_that_is_none_of_ours(address, people):
    port = address.rpartition(":")[2]
    for args, place in (([f"--port={port}"], f"127.0.0.1:{port}"), (["--host=192.0.2.1"], "192.0.2.1:7860")):
        command = [sys.executable, "-m", "hacnn_tf.app", f"--database={people}", *args]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith(f"hacnn_tf.app: {place} cannot be listened on") and done.stderr.count("\n") == 1


def test_the_filters_of_the_page_as_conditions():
    from hacnn_tf.gallery.browser import _condition

    assert _condition([], "", None) is None
    assert _condition([3, 1], " ", "") == "camid in (3, 1)"
    assert _condition(["a'b"], "2026-11-24T10:00+02:00", "2026-11-24") == (
        "camid in ('a''b') and time >= timestamp '2026-11-24 08:00:00' "
        "and time <= timestamp '2026-11-24 23:59:59.999999'"
    )
    for text in ("soon", "NaT", "' or 1=1 --", "24/11/2026", "nan", "2026-11", "2026"):
        with pytest.raises(InputError, match=r"From is no time: write it as 2026-11-24 15:30\."):
            _condition([], text, "")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium: install one, as with apt install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(WAIT)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    yield page
    page.close()
    assert all(url.startswith((address, "data:", "blob:")) for url in requests), "nobody else is asked for anything"


def captions(page):
    page.wait_for_selector("#found .caption-label")
    return page.locator("#found .caption-label").all_inner_texts()


def choose(page, path):
    page.set_input_files("#query input[type=file]", str(path))
    return captions(page)


def test_a_search_from_beginning_to_end(page, query, people):
    first = choose(page, query)
    assert len(first) == 20 and first[0].startswith("1. 0.")
    distances = [float(caption.split()[1]) for caption in first]
    assert distances == sorted(distances)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "fits a narrow screen"

    page.get_by_label("Cameras").click()
    page.get_by_role("option", name="3").click()
    page.wait_for_function("document.querySelectorAll('#found .caption-label').length == 8")
    assert all("camera 3" in caption for caption in captions(page))

    page.get_by_role("textbox", name="From").fill("2026-11-24 07:00")
    page.get_by_role("textbox", name="From").press("Enter")
    page.wait_for_selector("[data-testid=toast-body]")
    assert 'no pictures for which "camid in (3) and time' in page.locator("[data-testid=toast-body]").inner_text()
    page.get_by_role("textbox", name="From").fill("")
    page.get_by_role("textbox", name="From").press("Enter")
    page.wait_for_function("document.querySelectorAll('#found .caption-label').length == 8")

    page.locator("#found .caption-label").nth(1).click()
    page.wait_for_selector("#seen img")
    seen = page.locator("#seen img")
    page.wait_for_function("document.querySelector('#seen img').naturalWidth > 0")
    assert seen.evaluate("image => image.naturalWidth > 7 * 128"), "the picture, and two maps at each of three levels"
    page.get_by_role("button", name="Search with this picture").click()
    page.wait_for_function("document.querySelector('#found .caption-label').innerText.startsWith('1. 0.000')")
    assert "camera 3" in captions(page)[0], "nearest to a picture is the picture itself"


@pytest.mark.parametrize("content", [b"no image", b"", b"\xff\xd8\xff\xe0 cut", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_said_to_be_none(page, tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    page.set_input_files("#query input[type=file]", str(tmp_path / "a.jpg"))
    page.wait_for_selector("[data-testid=toast-body]")
    assert not page.locator("#found .caption-label").count()
    image = tmp_path / "b.png"
    PIL.Image.fromarray(np.zeros((30, 10, 3), np.uint8)).save(image)
    page.reload()
    assert len(choose(page, image)) == 20, "the page goes on"

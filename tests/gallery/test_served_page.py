"""The page as it is served: what it answers and what not, and a search from beginning to end in headless Chromium."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("gradio", reason='needs the extra "app"')

from hacnn_tf import index
from hacnn_tf.data.decode import read_image
from hacnn_tf.gallery.auth import set_password
from tests.conftest import command
from tests.data.test_decode import EVERY, upright
from tests.test_app import PROXIES

pytestmark = pytest.mark.usefixtures("opened_once")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WAIT = 120_000  # milliseconds; on a busy machine


@pytest.fixture(scope="module")
def people(small_run, small_data_root, opened_once, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    path, gallery = folder / "people.lance", folder / "_gallery_*1*"
    shutil.copytree(small_data_root / "synthetic/detected/bounding_box_test", gallery)
    shutil.copy(min(gallery.iterdir()), gallery / "20261124_080000.jpg")  # of no camera, but of a time
    command(index, f"--model={small_run}", f"--images={gallery}", f"--database={path}")
    return path


@pytest.fixture(scope="module")
def query(small_data_root):
    return min(small_data_root.glob("synthetic/detected/query/*.jpg"))


@contextlib.contextmanager
def served(people, kept, *flags, stderr=None):
    """The address of a page, with its images in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    args = [sys.executable, "-m", "hacnn_tf.app", f"--database={people}", f"--port={port}", *flags]
    environment = {**os.environ, **PROXIES, "TMPDIR": str(kept)}
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment) as process:
        try:
            line = process.stdout.readline()
            assert line == f"Find a person on http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
            yield f"http://127.0.0.1:{port}"
            process.send_signal(signal.SIGHUP)  # as when its terminal is closed
            assert process.wait(60) == 128 + signal.SIGHUP
        finally:
            process.kill()  # or a test that failed would wait for it
    assert not list(kept.iterdir()), "what was shown and uploaded is gone with the page"


@pytest.fixture(scope="module")
def address(people, tmp_path_factory):
    """The address of a page that is served while the tests of this file run."""
    kept = tmp_path_factory.mktemp("kept")
    with served(people, kept) as address:
        yield address
        assert any(kept.iterdir()), "what was shown and uploaded lies there"


@pytest.fixture(scope="module")
def guarded(people, tmp_path_factory):
    """The address of a page that asks for a password, and its audit file."""
    folder = tmp_path_factory.mktemp("guarded")
    set_password(folder / "users", "anna", "correct horse")
    (folder / "kept").mkdir()
    flags = [f"--auth={folder}/users", f"--audit={folder}/audit.jsonl"]
    with open(folder / "said", "w") as said, served(people, folder / "kept", *flags, stderr=said) as address:
        yield address, folder / "audit.jsonl"


@pytest.mark.parametrize("kind", ["JPEG", "JPEG of orientation 6", "CMYK JPEG", "PNG of 16 bits", "animated GIF"])
def test_an_upload_is_the_image_that_the_index_reads(kind, people, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
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


def status(url, data=None, headers=None, method=None):
    try:
        return urllib.request.urlopen(
            urllib.request.Request(url, data, headers or {}, method=method), timeout=30
        ).status
    except urllib.error.HTTPError as error:
        return error.code


def upload(address, content, cookie=""):
    """Uploads a file, and gives the status and the path at which the page keeps it."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n' + content + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Cookie": cookie}
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
        query,  # also if it is an image of a person, or in the database
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


def asked(address, path, function):
    """What the page answers to a request with a file as the query, as a browser would send it but for `meta`."""
    config = json.load(urllib.request.urlopen(f"{address}/config", timeout=30))
    number, inputs = next(
        (event["id"], event["inputs"]) for event in config["dependencies"] if event["api_name"] == function
    )
    props = {component["id"]: component["props"] for component in config["components"]}
    data = [{"path": str(path)}, *(props[i].get("value") for i in inputs[1:])]
    session = {"session_hash": f"a{abs(hash(str(path)))}"}
    body = json.dumps({"data": data, "fn_index": number, "event_data": {"index": 0, "value": None}, **session})
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(f"{address}/gradio_api/queue/join", body.encode(), headers), timeout=30
    )
    stream = f"{address}/gradio_api/queue/data?{urllib.parse.urlencode(session)}"
    with urllib.request.urlopen(stream, timeout=120) as lines:
        for line in lines:
            if line.startswith(b"data:") and (message := json.loads(line[5:]))["msg"] == "process_completed":
                return message


@pytest.mark.parametrize("function", ["search", "select"])
def test_no_request_makes_the_page_read_another_file(address, query, function):
    _, kept = upload(address, query.read_bytes())
    for path in (query, "/dev/zero", Path(kept).parent / ".." / ".." / "none", f"{kept}/../../../../../etc/passwd", ""):
        answer = asked(address, path, function)
        assert not answer["success"]
        assert answer["output"]["error"] == "A query is an image that was uploaded to this page."
    if function == "search":
        answer = asked(address, kept, function)
        assert answer["success"] and len(answer["output"]["data"][1]) == 20


def test_other_web_sites_get_nothing(address):
    own = address.removeprefix("http://")
    upload_of = [f"{address}/gradio_api/upload", b"--x--\r\n"]
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for host, origin in (
        (own, "http://evil.example"),
        ("evil.example", "http://evil.example"),
        (own, "null"),
        (own, "http://127.0.0.1:1"),
    ):
        headers = {"Host": host, "Origin": origin}
        assert status(address, headers=headers) == 403
        assert status(*upload_of, headers | form) == 403
    assert status(address, headers={"Host": "evil.example"}) == 403
    assert status(address, headers={"Host": own, "Origin": address}) == 200


def test_behind_a_proxy_browsers_look_for_it_under_the_proxys_name(address):
    headers = {"Host": address.removeprefix("http://")}
    for more, root in (
        ({}, address),
        ({"X-Forwarded-Host": "people.example.org", "X-Forwarded-Proto": "https"}, "https://people.example.org"),
    ):
        with urllib.request.urlopen(urllib.request.Request(f"{address}/config", headers=headers | more)) as answer:
            assert json.load(answer)["root"] == root


def test_browsers_keep_no_history_of_searches(address):
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert '"run_history":false' in answer.read().decode()
    assert status(f"{address}/gradio_api/runs") == 404


def test_uploads_are_limited_in_size(address):
    assert upload(address, b"\0" * (10 * 2**20 + 1))[0] == 413
    assert upload(address, b"\0" * (9 * 2**20))[0] == 200


def login(address, name, password):
    """The cookie of a login, and its status."""
    form = urllib.parse.urlencode({"username": name, "password": password}).encode()
    try:
        with urllib.request.urlopen(f"{address}/login", form, timeout=30) as answer:
            return answer.status, "; ".join(line.split(";")[0] for line in answer.headers.get_all("Set-Cookie"))
    except urllib.error.HTTPError as error:
        return error.code, ""


OPEN = re.compile(  # of Gradio's own: the page to log in with, its parts, and what is off or needs an event's name
    r"/(login/?|logout|assets/.*|static/.*|svelte/.*|favicon\.ico|theme\.css|manifest\.json|robots\.txt|pwa_icon.*)?|"
    r"/monitoring/{key}|/gradio_api/((app_id|reset|token|user|runs|(undo-)?vibe-[a-z-]*)/?|cancel|startup-events|"
    r"theme\.css|heartbeat/.*|stream/.*|custom_component/.*)"
)


def test_without_a_login_nothing_is_answered(guarded, people):
    """Whatever there is, by what the server itself says: files, searches, uploads, and the page with its cameras."""
    address, audit = guarded
    with urllib.request.urlopen(f"{address}/openapi.json", timeout=30) as answer:
        paths = {path: methods for path, methods in json.load(answer)["paths"].items() if not OPEN.fullmatch(path)}
    expected = {"queue/join", "queue/data", "upload", "file={path_or_url}", "call/{api_name}", "run/{api_name}", "info"}
    assert {f"/gradio_api/{name}" for name in expected} <= set(paths) and "/config" in paths
    for path, methods in paths.items():
        for method in methods:
            asked = status(address + re.sub("{.*?}", "0", path), method=method.upper())
            assert asked == 401, (method, path)
    with urllib.request.urlopen(address, timeout=30) as answer:
        shown = answer.read().decode()
    assert '"auth_required":true' in shown and str(people) not in shown and "Cameras" not in shown
    assert not audit.exists()


def test_a_file_is_served_to_who_has_logged_in(guarded, query):
    address, _ = guarded
    answered, cookie = login(address, "anna", "correct horse")
    assert answered == 200 and cookie
    assert upload(address, query.read_bytes()) == (401, None)
    uploaded, kept = upload(address, query.read_bytes(), cookie)
    assert uploaded == 200
    file = f"{address}/gradio_api/file={kept}"
    assert status(file, headers={"Cookie": cookie}) == 200
    assert status(file) == 401
    assert status(file, headers={"Cookie": re.sub("=[^;]*", "=guessed", cookie)}) == 401
    assert status(file, headers={"Cookie": cookie, "Origin": "http://evil.example"}) == 403


def test_a_wrong_password_and_other_web_sites_do_not_log_in(guarded):
    address, audit = guarded
    for name, password in (("anna", "wrong horse"), ("anna", ""), ("nobody", "correct horse"), ("", "")):
        answered, cookie = login(address, name, password)
        assert answered in (400, 422) and not cookie
    form = urllib.parse.urlencode({"username": "anna", "password": "correct horse"}).encode()
    assert status(f"{address}/login", form, {"Origin": "http://evil.example"}) == 403
    said = re.findall(r"A login (.*) failed\.", (audit.parent / "said").read_text())
    assert said[0] == "as anna" and set(said) == {"as anna", "by a name that nobody has"}


def test_a_port_in_use_and_a_host_that_is_none_of_ours(address, people):
    port = address.rpartition(":")[2]
    for args, place in (([f"--port={port}"], f"127.0.0.1:{port}"), (["--host=192.0.2.1"], "192.0.2.1:7860")):
        command = [sys.executable, "-m", "hacnn_tf.app", f"--database={people}", *args]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith(f"hacnn_tf.app: {place} cannot be listened on") and done.stderr.count("\n") == 1


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
    assert 'no images for which "camid in (3) and time' in page.locator("[data-testid=toast-body]").inner_text()
    page.get_by_role("textbox", name="From").fill("")
    page.get_by_role("textbox", name="From").press("Enter")
    page.wait_for_function("document.querySelectorAll('#found .caption-label').length == 8")

    page.locator("#found .caption-label").nth(1).click()
    page.wait_for_selector("#seen img")
    assert f"{people.parent}/_gallery_*1*/" in page.locator("#path").inner_text(), "as it is, and no emphasis"
    seen = page.locator("#seen img")
    page.wait_for_function("document.querySelector('#seen img').naturalWidth > 0")
    assert seen.evaluate("image => image.naturalWidth > 7 * 128"), "the image, and two maps at each of three levels"
    page.get_by_role("button", name="Search with this image").click()
    page.wait_for_function("document.querySelector('#found .caption-label').innerText.startsWith('1. 0.000')")
    assert "camera 3" in captions(page)[0], "nearest to an image is the image itself"


def test_a_search_of_somebody_who_logged_in_is_recorded_before_it_is_shown(browser, guarded, query, people):
    address, audit = guarded
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(WAIT)
    page.goto(address)
    page.locator("input").nth(0).fill("ａｎｎａ")  # the same name, from another keyboard
    page.locator("input[type=password]").fill("correct horse")
    page.get_by_role("button", name="Login").click()
    page.wait_for_selector("#watched p")
    assert page.locator("#watched").inner_text().strip() == "You are anna. Each search is written to an audit log."
    assert page.get_by_text("faces and bodies of people").is_visible()
    assert len(choose(page, query)) == 20
    line = json.loads(audit.read_text())
    assert line["queries"] == [hashlib.sha256(query.read_bytes()).hexdigest()] and len(line["found"]) == 20
    assert (line["command"], line["user"], line["database"]) == ("hacnn_tf.app", "anna", str(people))
    assert (line["where"], line["top"], line["rerank"], line["at_least"]) == (None, 20, False, None)

    page.get_by_label("Cameras").click()
    page.get_by_role("option", name="3").click()
    page.wait_for_function("document.querySelectorAll('#found .caption-label').length == 8")
    first, second = map(json.loads, audit.read_text().splitlines())
    assert first == line and (second["where"], len(second["found"])) == ("camid in (3)", 8)

    moved = audit.rename(audit.with_name("moved"))
    audit.mkdir()  # where no line can be written
    page.get_by_label("Re-rank").click()
    page.wait_for_selector("[data-testid=toast-body]")
    assert "nothing is shown without it" in page.locator("[data-testid=toast-body]").inner_text()
    audit.rmdir()
    moved.rename(audit)

    page.get_by_text("Log out").click()
    page.wait_for_selector("input[type=password]")
    assert not page.locator("#found").count()
    page.close()


@pytest.mark.parametrize("content", [b"no image", b"", b"\xff\xd8\xff\xe0 cut", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_image_is_said_to_be_none(page, tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    page.set_input_files("#query input[type=file]", str(tmp_path / "a.jpg"))
    page.wait_for_selector("[data-testid=toast-body]")
    assert "1 of 1 images cannot be read: image 0 (" in page.locator("[data-testid=toast-body]").inner_text()
    assert not page.locator("#found .caption-label").count()
    image = tmp_path / "b.png"
    PIL.Image.fromarray(np.zeros((30, 10, 3), np.uint8)).save(image)
    page.reload()
    assert len(choose(page, image)) == 20, "the page goes on"


def test_a_query_that_is_gone_after_its_hour_is_asked_for_again(page, query):
    choose(page, query)
    kept = page.locator("#query img").get_attribute("src").partition("file=")[2]
    Path(urllib.parse.unquote(kept)).unlink()
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_selector("[data-testid=toast-body]")
    assert "choose it again" in page.locator("[data-testid=toast-body]").inner_text()

"""The page without a browser: its filters, a click, its line in the audit file, and what goes nowhere."""

import json
import re
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.gallery.conftest import DIM, MODEL, make_rows, numbers

pytest.importorskip("gradio", reason='needs the extra "app"')

import gradio

from hacnn_tf.gallery import Database, browser
from hacnn_tf.gallery.audit import Audit
from hacnn_tf.utils.errors import InputError

REQUEST = SimpleNamespace(username="ａｎｎａ")  # anna, from another keyboard


class Page:
    """A page of a database, for whose model every image is at the origin; `log` is its audit file."""

    def __init__(self, people, folder):
        self.log, self._query = folder / "audit.jsonl", folder / "query.png"
        self._query.touch()
        feature = np.zeros((1, DIM), np.float32)
        self.model = SimpleNamespace(**vars(MODEL), calibration=None, network=None, embed=lambda _: feature)
        self.blocks = browser.page(people, self.model, Audit(self.log, "hacnn_tf.app"))
        self._functions = {function.name: function.fn for function in self.blocks.fns.values()}

    def search(self, since="", until="", top=100):
        return self._functions["search"](str(self._query), [], since, until, top, 0.0, False, REQUEST)[0]

    def call(self, name, *args):
        return self._functions[name](*args)

    def click(self, rows, index):
        """What stands above the image that was clicked."""
        return self.call("select", None, rows, SimpleNamespace(index=index))[1]


@pytest.fixture
def page(filled, tmp_path):
    return Page(filled[0], tmp_path)


def test_a_search_is_from_a_time_to_a_time(page):
    assert sorted(numbers(page.search(since="2026-11-24 08:20"))) == list(range(20, 50))
    assert sorted(numbers(page.search(until="2026-11-24 08:20"))) == list(range(21))


def test_the_filters_of_the_page_as_conditions():
    from hacnn_tf.gallery.browser import _condition

    assert _condition([], "", None) is None
    assert _condition([3, 1], " ", "") == "camid in (3, 1)"
    assert _condition(["a'b"], "2026-11-24T10:00+02:00", "2026-11-24") == (
        "camid in ('a''b') and time >= timestamp '2026-11-24 08:00:00' "
        "and time <= timestamp '2026-11-24 23:59:59.999999'"
    )
    assert _condition([], "", "2026-11-24 15:30") == "time <= timestamp '2026-11-24 15:30:00'"
    for text in ("soon", "NaT", "' or 1=1 --", "24/11/2026", "nan", "2026-11", "2026"):
        with pytest.raises(InputError, match=r"From is no time: write it as 2026-11-24 15:30\."):
            _condition([], text, "")


def test_a_click_shows_the_image_that_was_clicked(page):
    rows = page.search()
    for index in (0, 3):
        assert page.click(rows, index) == f"**{browser._plain(rows.path[index])}**"
    assert browser._plain("a_b*[c](d)<e>") == r"a\_b\*\[c\]\(d\)\<e\>"


def test_a_click_after_the_query_was_forgotten_says_so(page):
    rows, page.model.network, page.model.input_size = page.search(), SimpleNamespace(), (8, 4)
    with pytest.raises(gradio.Error, match=r"gone\.png cannot be read any more .*: choose it again"):
        page.call("select", "gone.png", rows, SimpleNamespace(index=0))
    assert page.click(rows, 0)


def test_filters_are_those_of_the_database_when_the_page_is_loaded(filled, page):
    cameras, since, until, probable = page.call("filters_now")
    assert since["placeholder"] == "2026-11-24 08:00:00" and not probable["visible"]
    rows = make_rows([77]).assign(camid=9, time=pd.Timestamp("2026-12-01 10:00:00.5"))
    Database(filled[0].path).write(rows, np.zeros((1, DIM), np.float32))
    now = page.call("filters_now")
    assert now[0]["choices"] == [*cameras["choices"], 9]
    assert (now[1], now[2]["placeholder"]) == (since, "2026-12-01 10:00:01") and until != now[2]
    filled[0].remove("true")
    assert not any(part["visible"] for part in page.call("filters_now"))


def test_what_goes_wrong_is_on_standard_error_too(filled, page, capsys):
    with pytest.raises(gradio.Error, match="has no images for which"):
        page.search(since="2027-01-01")
    assert not capsys.readouterr().err
    shutil.rmtree(filled[0].path)
    with pytest.raises(gradio.Error, match="cannot be read, or was removed"):
        page.search()
    assert re.fullmatch(r"20\d\d-.*\+00:00 .*people\.lance cannot be read, .*\n", capsys.readouterr().err)


def test_who_has_logged_in_is_told_by_that_name(page):
    assert "You are anna." in page.call("who", SimpleNamespace(username="anna"))[0]


def test_a_search_is_recorded_under_the_name_that_the_file_of_users_has(page):
    page.search()
    assert json.loads(page.log.read_text())["user"] == "anna"


def test_what_another_process_has_written_is_found(filled, page):
    Database(filled[0].path).write(make_rows([77]), np.zeros((1, DIM), np.float32))
    assert numbers(page.search(top=1)).tolist() == [77]


def test_one_search_runs_after_another(page):
    assert len({f.concurrency_id for f in page.blocks.fns.values() if f.name == "search"}) == 1


def test_nothing_goes_elsewhere(page, monkeypatch):
    asked = {}
    monkeypatch.setattr(gradio.Blocks, "launch", lambda _, **how: asked.update(how) or (None, "http://x/", None))
    assert browser.launch(page.blocks, "127.0.0.1", 7860) == "http://x/"
    assert not (asked["share"] or asked["enable_monitoring"] or asked["mcp_server"] or page.blocks.analytics_enabled)


def test_images_go_after_an_hour_while_others_are_shown(page, tmp_path, monkeypatch):
    paths = [tmp_path / "shown" / name / "image.webp" for name in "abc"]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.touch()
    (paths[0].parent / "other").touch()
    shown = page.blocks.upload_file_set
    shown |= {*map(str, paths), str(tmp_path / "gone.webp")}
    now, asked = time.time(), []

    def later():
        asked.append(1)
        shown.add(f"/new/{len(asked)}")  # by another thread, as Gradio's set of files changes while this looks
        return now + (3601 if len(asked) != 2 else 3599)

    monkeypatch.setattr(time, "time", later)
    browser.forget(page.blocks, browser.KEPT)
    assert sum(path.exists() for path in paths) == 1 and len(asked) == 3
    assert paths[0].parent.exists() and sum(path.parent.exists() for path in paths) in (1, 2)
    assert {path for path in shown if path.startswith(str(tmp_path))} == {str(p) for p in paths if p.exists()}

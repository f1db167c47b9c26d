"""The report, opened in a real browser at the width of a phone."""

import json
import re
import shutil
import subprocess

import pytest
from PIL import Image

from hacnn_tf import report
from hacnn_tf.paper.accuracy import accuracy_table
from hacnn_tf.paper.curves import curves
from hacnn_tf.paper.figures import Figure
from hacnn_tf.paper.layouts import Selection
from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.training.run_folder import COLUMNS
from tests.conftest import command, fails
from tests.paper.runs import make_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE = 360  # pixels across; a frame of that width, since browsers have a least width for windows
PROBE = """<script>addEventListener("load", () => {
const all = (what) => [...document.querySelectorAll(what)];
parent.postMessage(JSON.stringify({
page: document.documentElement.scrollWidth, window: innerWidth,
images: all("img").map(i => [i.naturalWidth, i.clientWidth]),
tables: all("table").map(t => t.tBodies[0].rows.length),
headings: all("h2").map(h => h.id),
links: all("a").map(a => !!document.querySelector(a.getAttribute("href"))),
font: Math.min(...all("td, li").map(e => parseFloat(getComputedStyle(e).fontSize)))
}), "*"); });</script>"""
FRAME = f"""<!DOCTYPE html><iframe src="probed.html" width="{PHONE}" height="800" style="border: 0"></iframe>
<pre id="probe"></pre><script>addEventListener("message", e => document.all.probe.textContent = e.data);</script>"""


@pytest.fixture
def results(table8, tmp_path):
    """A results folder with tables, a wide image and curves, and the run folders behind them."""
    for seed, rank1 in enumerate((60, 70)):
        run = make_run(tmp_path / "runs" / f"run-{seed}", rank1, seed=seed)
        rows = [(1, 50, 3.0, 2.0, 0.2), (2, 100, 1.0, 0.5, 0.9)]
        run.write_rows("log", [dict(zip(COLUMNS["log"], row, strict=True)) for row in rows])
    runs, selection, folder = RunFolders(tmp_path / "runs"), Selection(("synthetic",)), tmp_path / "results"
    for name in ("table4", "table5"):
        accuracy_table(name, selection, runs).write(folder)
    table8.write(folder)
    Figure("figure6", "Figure 6. Attention", {"one & two": Image.new("RGB", (960, 300), "red")}, ["<a note>"]).write(
        folder
    )
    Figure("curves", "Curves", {"both": curves(runs.select(run.settings))}, []).write(folder)
    return folder


def make_report(results):
    command(report, f"--results_dir={results}", f"--runs_dir={results.parent / 'runs'}")
    return (results / "report.html").read_text()


def test_the_report_holds_everything_and_asks_for_no_other_file(results):
    text = make_report(results)
    assert re.findall(r'<h2 id="(\w+)"', text) == ["table4", "table5", "table8", "figure6", "curves", "runs"]
    assert set(re.findall(r'(?:src|href)="([^"#:;]*)', text)) <= {"", "data"}
    assert not re.search(r"https?://|@import|url\(", text)
    assert "65.0 ± 7.1" in text and "one &amp; two" in text and "&lt;a note&gt;" in text
    assert "run-1" in text


def test_of_the_settings_of_runs_a_column_shows_what_differs_and_a_note_the_rest(results):
    table = make_report(results).partition('<h2 id="runs"')[2]
    assert re.findall(r"<th[^>]*>([^<]*)</th>", table.partition("<tbody>")[0]) == ["run", "seed"]
    assert re.search(r"<li>In [^<]*; all of them: dataset synthetic, boxes detected, [^<]*epochs 4, ", table)


def test_a_browser_shows_it_on_a_phone(results, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)}")
    (results / "probed.html").write_text(make_report(results).replace("</body>", PROBE + "</body>"))
    (results / "frame.html").write_text(FRAME)
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    done = subprocess.run(
        [
            browser,
            *options,
            "--hide-scrollbars",
            "--virtual-time-budget=5000",
            "--dump-dom",
            (results / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="probe">(.+)</pre>', done.stdout)
    assert found, done.stderr
    seen = json.loads(found[1].replace("&amp;", "&"))
    assert seen["window"] == PHONE
    assert seen["page"] <= PHONE, "the page scrolls sideways"
    assert seen["headings"] == ["table4", "table5", "table8", "figure6", "curves", "runs"]
    assert seen["tables"] == [9, 6, 8, 2]
    assert all(seen["links"])
    assert seen["font"] >= 12
    (image, drawing) = seen["images"]
    assert image[0] == 960 and drawing[0] > 500
    assert max(image[1], drawing[1]) <= PHONE


def test_an_empty_folder_is_one_sentence(tmp_path):
    assert "holds no table or figure" in fails(report, [f"--results_dir={tmp_path}"])

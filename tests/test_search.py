"""search, as typed: what is printed, the page that it writes, and the line of --audit."""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf import ReID, index, search
from hacnn_tf.data.synthetic import read_synthetic
from hacnn_tf.evaluation import evaluate_features
from hacnn_tf.export import Extractor
from hacnn_tf.gallery import Database, search_tracks
from hacnn_tf.gallery.audit import system_user
from hacnn_tf.models import HACNN
from tests.conftest import command, fails

pytestmark = pytest.mark.usefixtures("opened_once")


def test_searching_every_query_gives_the_evaluations_measures(small_data_root, tmp_path):
    """By trained weights: of untrained ones all features are near, and roundings decide which is nearer."""
    dataset = read_synthetic(small_data_root, "detected", allow_subset=True)
    table = dataset.table[dataset.table.split.isin(["query", "gallery"])]
    table = table.assign(path=table.path.map(os.path.abspath))
    table.to_csv(tmp_path / "manifest.csv", index=False)
    command(index, "--model=hacnn_cuhk03_detected", f"--images={tmp_path}", f"--database={tmp_path}/people.lance")
    database = Database(tmp_path / "people.lance")
    paths = {split: dataset.split(split).path.map(os.path.abspath) for split in ("query", "gallery")}
    features = {split: database.feature(paths[split]) for split in paths}
    queries = dataset.split("query")
    for features_of_query, row in zip(features["query"], queries.itertuples(), strict=True):
        where = f"split = 'gallery' and not (pid = {row.pid} and camid = {row.camid})"
        (found,) = database.search(features_of_query[None], where, top=1000)
        alone = dataclasses.replace(
            dataset, table=table[(table.split == "gallery") | (table.path == os.path.abspath(row.path))]
        )
        expected = evaluate_features(alone, {**features, "query": features_of_query[None]})["single_query"]["joint"]
        hits = np.flatnonzero(found.pid == row.pid) + 1
        assert expected["rank1"] == 100 * (hits[0] == 1) and expected["rank5"] == 100 * (hits[0] <= 5)
        assert expected["mAP"] == pytest.approx(100 * np.mean(np.arange(1, len(hits) + 1) / hits))


def test_that_a_databases_images_were_read_otherwise_is_told(people, query, monkeypatch, capsys):
    monkeypatch.setattr(Database, "outdated", "Read otherwise.")
    command(search, f"--database={people}", f"--query={query[0]}", "--top=1")
    assert capsys.readouterr().err.startswith("Read otherwise.\n")


def test_search_prints_the_nearest_and_writes_a_page(people, query, tmp_path, capsys):
    page = tmp_path / "found.html"
    args = [f"--database={people}", f"--query={query[0]}", "--where=camid != 1", "--top=5"]
    command(search, *args, f"--query={query[1]}", f"--html={page}")
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0] == f"{query[0]} in {people}:" and lines[1].split() == ["rank", "distance", "camera", "time", "path"]
    assert lines[7] == f"{query[1]} in {people}:" and lines[-1] == f"Page: {page}"
    printed = [line.split() for line in lines[2:7]]
    assert [row[0] for row in printed] == ["1", "2", "3", "4", "5"]
    assert all(row[2] != "1" and f"_c{row[2]}_" in row[3] for row in printed)
    assert [float(row[1]) for row in printed] == sorted(float(row[1]) for row in printed)
    content = page.read_text()
    assert content.count('src="data:image/jpeg;base64,') == 2 * (1 + 5)
    assert not re.search(r'(src|href)="(?!data:)', content), "needs no other file"


def test_a_page_is_whole_though_who_reads_the_results_leaves(people, query, tmp_path):
    args = ["--database", people, "--query", query[0], "--top=3", "--html", tmp_path / "found.html"]
    with subprocess.Popen([sys.executable, "-u", "-m", "hacnn_tf.search", *args], stdout=subprocess.PIPE) as process:
        process.stdout.close()
    assert process.returncode == 128 + signal.SIGPIPE
    assert (tmp_path / "found.html").read_text().count('src="data:image/jpeg;base64,') == 1 + 3


def test_names_of_files_are_no_html(small_run, query, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(query[0], images / "<b>&.jpg")
    command(index, f"--model={small_run}", f"--images={images}", f"--database={tmp_path}/p.lance")
    command(search, f"--database={tmp_path}/p.lance", f"--query={query[0]}", f"--html={tmp_path}/found.html")
    content = (tmp_path / "found.html").read_text()
    assert "&lt;b&gt;&amp;.jpg" in content and "<b>&.jpg" not in content


def test_images_of_one_person_are_one_query(people, query, small_run, capsys):
    command(search, f"--database={people}", *(f"--query={path}" for path in query[:3]), "--one_person", "--top=3")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{', '.join(query[:3])} in {people}:" and len(lines) == 5
    (expected,) = Database(people).search(ReID.from_preset(small_run).embed_tracks([query[:3]]), top=3)
    assert [line.split()[-1] for line in lines[2:]] == expected.path.tolist()


def test_tracks_are_found_by_a_pattern_and_searched(small_run, gallery, query, tmp_path, capsys):
    args = [f"--model={small_run}", f"--images={gallery}", f"--database={tmp_path}/p.lance"]
    command(index, *args, r"--track_pattern=(\d+_c\d)_")
    searched = [f"--database={tmp_path}/p.lance", f"--query={query[0]}", "--per=track", "--top=3"]
    tracks_there = len({path.name[:7] for path in gallery.iterdir()})
    assert capsys.readouterr().out.endswith(f"in all in {tracks_there} tracks, none with a time.\n")
    command(search, *searched, f"--html={tmp_path}/found.html")
    lines = capsys.readouterr().out.splitlines()
    model = ReID.from_preset(small_run)
    tracks: dict = {}
    for path in sorted(gallery.iterdir()):
        tracks.setdefault(path.name[:7], []).append(path)
    distances = np.linalg.norm(model.embed_tracks(tracks.values()) - model.embed(query[0]), axis=1)
    nearest = np.argsort(distances)[:3]
    assert [line.split()[3] for line in lines[2:5]] == np.array(list(tracks))[nearest].tolist()
    assert [float(line.split()[1]) for line in lines[2:5]] == pytest.approx(distances[nearest], abs=6e-4)
    assert all(line.split()[4] == "2" for line in lines[2:5])
    content = (tmp_path / "found.html").read_text()
    assert content.count('src="data:image/jpeg;base64,') == 1 + 3 and "images 2" in content
    assert (tmp_path / "found.html").stat().st_mode & 0o777 == 0o600, "people are seen on it"
    command(search, *searched, "--where=camid != 1")
    assert {line.split()[2] for line in capsys.readouterr().out.splitlines()[2:5]}.isdisjoint({"1"})
    asked = Database(tmp_path / "p.lance"), model.embed(query[0]), "camid != 1"
    distances = [
        search_tracks(*asked, branches=model.branches, top=3, reranked=how)[0].distance for how in (False, True)
    ]
    command(search, *searched, "--where=camid != 1", "--rerank")
    shown = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()[2:5]]
    assert shown == pytest.approx(distances[1], abs=6e-4)
    assert shown != pytest.approx(distances[0], abs=6e-4)


def test_flags_of_a_search_reach_it(people, query, monkeypatch):
    asked, find = [], Database.search

    def remember(database, features, *how):
        asked.append(how)
        return find(database, features, *how)

    monkeypatch.setattr(Database, "search", remember)
    for flags in ([], ["--exact", "--where=camid = 1", "--top=3"], ["--rerank"]):
        command(search, f"--database={people}", f"--query={query[0]}", *flags)
    assert asked == [(None, 20, False, False), ("camid = 1", 3, True, False), (None, 20, False, True)]


def test_a_database_without_tracks_says_how_to_get_them(people, query, monkeypatch):
    monkeypatch.setattr(Database, "load_model", None)  # it is said before
    said = fails(search, [f"--database={people}", f"--query={query[0]}", "--per=track"])
    assert "has no tracks: index its images into a new database with --track_pattern, or from a manifest" in said


def test_search_reranks(people, query, small_run, capsys):
    command(search, f"--database={people}", f"--query={query[0]}", "--rerank", "--top=4")
    lines = capsys.readouterr().out.splitlines()
    (expected,) = Database(people).search(ReID.from_preset(small_run).embed(query[0]), top=4, reranked=True)
    assert [line.split()[-1] for line in lines[2:]] == expected.path.tolist()


def test_a_search_that_needs_tensorflow_says_how_to_be_faster(people, query, small_run, monkeypatch, capsys):
    """To somebody at a terminal."""
    said = []
    for terminal in (False, True):
        monkeypatch.setattr("hacnn_tf.search.on_terminal", lambda terminal=terminal: terminal)
        command(search, f"--database={people}", f"--query={query[0]}")
        said.append(capsys.readouterr().err)
    assert said[0] == ""
    assert f"python -m hacnn_tf.export --run_dir {small_run} --output FOLDER --format onnx" in said[1]


def test_who_searched_is_written_before_what_was_found_is_shown(people, query, tmp_path, capsys, monkeypatch):
    log, page = tmp_path / "audit.jsonl", tmp_path / "found.html"
    args = [f"--database={people}", f"--query={query[0]}", "--where=camid != 1", "--top=5", f"--audit={log}"]
    command(search, *args)
    line = json.loads(log.read_text())
    shown = [printed.split()[-1] for printed in capsys.readouterr().out.splitlines()[2:]]
    assert line["queries"] == [hashlib.sha256(Path(query[0]).read_bytes()).hexdigest()]
    assert line["found"] == [hashlib.sha256(path.encode()).hexdigest() for path in shown]
    assert (line["command"], line["user"], line["where"], line["top"]) == (
        "hacnn_tf.search",
        system_user(),
        "camid != 1",
        5,
    )
    how = {"per": "image", "exact": False, "rerank": False, "at_least": None, "prior": None}
    assert {name: line[name] for name in how} == how
    command(search, *args, f"--query={query[1]}", "--one_person", "--rerank")
    second = json.loads(log.read_text().splitlines()[1])
    assert len(second["queries"]) == 2 and second["rerank"] is True
    capsys.readouterr()
    monkeypatch.setattr("os.write", lambda *_: 7)  # all that the disk has room for
    assert f"Cannot write the audit file {log} (the disk is full): nothing" in fails(search, [*args, f"--html={page}"])
    assert capsys.readouterr().out == "" and not page.exists() and len(log.read_text().splitlines()) == 2


def test_search_refuses_what_it_cannot_use(people, query, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    there = [f"--database={people}", f"--query={query[0]}"]
    for args, words in (
        (there[:1], "--query must be given"),
        ([there[0], f"--query={tmp_path}/text.jpg"], "text.jpg (not an image that Pillow reads)"),
        ([there[0], f"--query={tmp_path}/none.jpg"], "none.jpg (no such file)"),
        ([*there, "--where=camid ! 1"], "cannot be used: it is not one whole condition at '!', after 'camid'"),
        ([*there, "--where=camid = 1 limit 1"], "not one whole condition at 'limit'"),
        ([*there, "--where=camid = 77"], "has no images for which 'camid = 77' holds"),
        ([*there, "--top=0"], "--top"),
        ([*there, f"--html={query[0]}"], "must end in .html"),
        ([*there, f"--audit={tmp_path}"], "is not a file that you may append to: name another for --audit"),
        ([*there, f"--model={tmp_path}"], "is not a run folder, preset or export"),
        ([f"--database={tmp_path}/none.lance", there[1]], "is not a database of features"),
    ):
        assert words in fails(search, args)


def test_search_refuses_another_model(people, query, small_run, tmp_path):
    other = HACNN(**ReID.from_preset(small_run).network.get_config())
    ReID("other", Extractor.of_network(other)).save_to_preset(tmp_path / "other")
    sentence = fails(search, [f"--database={people}", f"--query={query[0]}", f"--model={tmp_path}/other"])
    assert f"holds features of {small_run}" in sentence and "other" in sentence

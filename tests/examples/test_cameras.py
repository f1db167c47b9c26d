"""The example with a tracker: its boxes are where its people are, its measures are right, and it runs."""

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from hacnn_tf.data.synthetic import make_cameras
from hacnn_tf.data.synthetic.person import Person

pytest.importorskip("trackers", reason="needs the extra track")
from examples import cameras


@pytest.fixture(scope="module")
def frames():
    """A person who walks to the right in front of another, who walks to the left."""
    people = [Person.random(np.random.default_rng(seed)) for seed in (1, 2)]
    walks = [
        cameras.Walk(0, 0, start=0.0, speed=300, lane=0.2, right=False),
        cameras.Walk(1, 0, start=0.0, speed=300, lane=0.6, right=True),
    ]
    return list(cameras.film(make_cameras()[0], walks, people, 4, np.random.default_rng(0)))


def view(frames, number):
    """What a tracker would have made that finds every box, and calls person p at a time t `number(p, t)`."""
    tracks = [(f.boxes, np.array([number(p, t) for p in f.persons], int)) for t, f in enumerate(frames)]
    return cameras.View(frames, tracks, {}, [])


def test_people_walk_their_way_and_cover_each_other(frames):
    centres = {person: [] for person in (0, 1)}
    for frame in frames:
        assert frame.image.shape == (480, 900, 3) and frame.image.dtype == np.uint8
        assert (frame.boxes[:, :2] < frame.boxes[:, 2:]).all() and (frame.boxes >= 0).all()
        assert (frame.boxes <= [900, 480, 900, 480]).all()
        for person, box in zip(frame.persons, frame.boxes, strict=True):
            centres[person].append((box[0] + box[2]) / 2)
    assert (np.diff(centres[0]) < 0).all() and (np.diff(centres[1]) > 0).all()
    seen = {person: [f.seen[f.persons == person].item() for f in frames if person in f.persons] for person in (0, 1)}
    assert max(seen[0]) == 1 and 0.25 < min(seen[0][5:-5]) < 0.9  # the farther one is covered as they meet
    assert set(seen[1][5:-5]) == {1}


def test_a_box_has_the_colours_of_somebody(frames):
    empty = next(frame for frame in reversed(frames) if not len(frame.boxes)).image.astype(float)
    frame = next(frame for frame in frames if len(frame.boxes) == 2)
    changed = np.abs(frame.image.astype(float) - empty).max(axis=-1) > 60
    left, top, right, bottom = frame.boxes[0].astype(int)
    inside = changed[top:bottom, left:right].mean()
    assert inside > 0.2 and inside > 4 * changed.mean()


def test_idf1_of_known_mistakes(frames):
    apart = cameras.idf1({0: view(frames, lambda person, time: person)}, lambda camera, track: (camera, track))
    assert apart == 100
    half = len(frames) // 3
    swapped = view(frames, lambda person, time: person if time < half else 1 - person)
    before = sum(len(frame.boxes) for frame in frames[:half])
    total = sum(len(frame.boxes) for frame in frames)
    right = max(before, total - before)  # by the better of two ways to say who is who
    assert np.isclose(cameras.idf1({0: swapped}, lambda camera, track: track), 100 * right / total)
    both = {camera: view(frames, lambda person, time: person) for camera in (0, 1)}
    assert cameras.idf1(both, lambda camera, track: track) == 100
    assert cameras.idf1(both, lambda camera, track: (camera, track)) == 50
    assert cameras.per_camera(both, lambda camera, track: (camera, track)) == 100


def test_tracks_that_are_seen_at_once_are_not_joined(frames, capsys):
    crops = {(0, 0): [], (0, 1): [], (1, 0): []}
    views = {camera: view(frames, lambda person, time: person) for camera in (0, 1)}
    features = np.array([[0, 1], [0, 1.2], [0, 1.05]], np.float32)
    identities = cameras.joined(crops, features, views)
    assert identities[0, 0] != identities[0, 1] and identities[1, 0] in (identities[0, 0], identities[0, 1])
    assert "1 pairs of tracks that are seen at once" in capsys.readouterr().out


def test_without_tracks_that_are_seen_at_once_none_are_joined(frames, capsys):
    views = {camera: view(frames, lambda person, time: person) for camera in (0, 1)}
    for count in (2, 1, 0):
        crops = dict.fromkeys([(0, 0), (1, 0)][:count])
        identities = cameras.joined(crops, np.ones((count, 2), np.float32), views)
        assert list(identities) == list(crops) and len(set(identities.values())) == count
        assert "none are joined" in capsys.readouterr().out


def test_an_output_that_is_there_is_refused_before_a_model_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(cameras.ReID, "from_preset", lambda _: pytest.fail("it was opened"))
    monkeypatch.setattr(sys, "argv", ["cameras.py", f"--output={tmp_path}"])
    with pytest.raises(SystemExit) as stopped:
        cameras.main()
    assert stopped.value.code == f"cameras: {tmp_path} exists: remove it or name another output."


@pytest.mark.slow
def test_it_runs(tmp_path):
    output = tmp_path / "cameras"
    command = [sys.executable, cameras.__file__, f"--output={output}", "--persons=5"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert re.search(r"a track among tracks +[\d.]+%", said)
    alone, joined = (float(line.split()[-1]) for line in said.splitlines()[-3:-1])
    assert 0 < alone < 60 and 0 < joined <= 100  # a person is before three cameras
    with Image.open(output / "cameras.webp") as animation:
        assert animation.size == (640, 340) and animation.n_frames > 20

"""Checkpoints: the newest whole one counts, whatever has happened to the newest."""

import errno
import os
import zipfile

import numpy as np
import pytest

from hacnn_tf.training.checkpoints import Checkpoints
from hacnn_tf.utils.errors import InputError

ARRAYS = {"step": np.int64(7), "model/stem/kernel": np.arange(300, dtype=np.float32), "network": np.array("{}")}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back_to_the_last_bit(tmp_path):
    Checkpoints(tmp_path).save(3, 120, ARRAYS)
    path, found = Checkpoints(tmp_path).newest()
    assert path.name == "epoch0003-step00120.npz"
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes()


def test_two_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    for epoch, step in ((0, 5), (0, 10), (1, 0), (1, 5)):
        checkpoints.save(epoch, step, ARRAYS)
    assert names(tmp_path) == ["epoch0001-step00000.npz", "epoch0001-step00005.npz"]


def test_copies_by_other_names_are_left_alone(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, 0, ARRAYS)
    (tmp_path / "epoch0001-step00000.npz").rename(tmp_path / "epoch0009-step00000-before-the-move.npz")
    assert checkpoints.newest() is None
    for epoch in (1, 2, 3):
        checkpoints.save(epoch, 0, ARRAYS)
    assert checkpoints.newest()[0].name == "epoch0003-step00000.npz"
    assert "epoch0009-step00000-before-the-move.npz" in names(tmp_path)


def test_a_damaged_newest_one_does_not_outlive_the_next(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (1, 2):
        checkpoints.save(epoch, 0, ARRAYS)
    (tmp_path / "epoch0002-step00000.npz").write_bytes(b"")
    checkpoints.newest()
    checkpoints.save(1, 5, ARRAYS)
    assert names(tmp_path) == ["epoch0001-step00000.npz", "epoch0001-step00005.npz"]


def damaged_by_every_bit(content):
    for place in range(len(content)):
        yield content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


def test_no_flipped_bit_and_no_cut_gets_through(tmp_path, capsys):
    """A bit of every byte, and every length: either the arrays are right to the last bit, or the one before is used."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, 0, {"step": np.int64(1)})
    checkpoints.save(2, 0, ARRAYS)
    newest = tmp_path / "epoch0002-step00000.npz"
    content = newest.read_bytes()
    cuts = (content[:length] for length in range(0, len(content), 7))
    noticed = 0
    for damaged in (*damaged_by_every_bit(content), *cuts):
        newest.write_bytes(damaged)
        path, found = checkpoints.newest()
        if path == newest:  # a bit that says nothing of the arrays, such as a file's date
            assert {name: array.tobytes() for name, array in found.items()} == {
                name: array.tobytes() for name, array in ARRAYS.items()
            }
            continue
        noticed += 1
        said = capsys.readouterr().err
        assert said.startswith(f"{newest} is damaged (") and "epoch0001-step00000.npz takes its place" in said
    assert noticed > 0.9 * len(content)


def test_an_archive_that_lacks_an_array_is_damaged(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (1, 2):
        checkpoints.save(epoch, 0, ARRAYS)
    newest = tmp_path / "epoch0002-step00000.npz"
    with np.load(newest) as whole:
        np.savez(newest, **{name: whole[name] for name in whole.files if name != "model/stem/kernel"})
    path, _ = checkpoints.newest()
    assert path.name == "epoch0001-step00000.npz" and f"{newest} is damaged" in capsys.readouterr().err


def test_all_damaged(tmp_path):
    Checkpoints(tmp_path).save(1, 0, ARRAYS)
    next(tmp_path.iterdir()).write_bytes(b"PK")
    with pytest.raises(InputError, match=r"epoch0001-step00000.npz is damaged .*restore one of them"):
        Checkpoints(tmp_path).newest()


def test_what_cannot_be_read_for_now_is_not_damaged(tmp_path, monkeypatch):
    """Else training would go on from the one before, and its next checkpoint would remove this one."""
    for epoch in (1, 2):
        Checkpoints(tmp_path).save(epoch, 0, ARRAYS)

    def read(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("hacnn_tf.training.checkpoints._read", read)
    with pytest.raises(InputError, match=r"Cannot read .*epoch0002-step00000\.npz: Input/output error\."):
        Checkpoints(tmp_path).newest()


def test_a_pickle_is_not_loaded(tmp_path):
    Checkpoints(tmp_path).save(1, 0, ARRAYS)
    np.savez(tmp_path / "epoch0002-step00000.npz", step=np.array([{"any": "object"}]))  # pickled
    path, _ = Checkpoints(tmp_path).newest()
    assert path.name == "epoch0001-step00000.npz"
    assert zipfile.ZipFile(tmp_path / "epoch0002-step00000.npz").testzip() is None  # it was the pickle that was refused


def test_steps_and_epochs_of_more_digits_come_later(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch, step in ((9999, 99999), (9999, 100000), (10000, 0)):
        checkpoints.save(epoch, step, ARRAYS)
        assert checkpoints.newest()[0].name == f"epoch{epoch:04d}-step{step:05d}.npz"
    assert names(tmp_path) == ["epoch10000-step00000.npz", "epoch9999-step100000.npz"]

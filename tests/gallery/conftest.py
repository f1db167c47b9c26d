"""Rows and features of drawn numbers, and a database of them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

DIM = 8
MODEL = SimpleNamespace(name="runs/a", fingerprint="aa", feature_dim=DIM, precision="float32")


def make_rows(numbers, **columns):
    numbers = np.asarray(numbers)
    time = pd.Timestamp("2026-11-24 08:00:00") + pd.to_timedelta(numbers, unit="min")
    rows = {"path": [f"/people/{i}.jpg" for i in numbers], "bytes": 5, "modified": 1, "camid": numbers % 3}
    return pd.DataFrame(rows | columns).assign(time=time)


def make_features(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


@pytest.fixture
def filled(tmp_path):
    """A database of 50 images, and their features."""
    from hacnn_tf.gallery import Database

    filled = Database.create(tmp_path / "people.lance", MODEL, make_rows([]))
    features = make_features(50)
    for part in np.split(np.arange(50), 5):
        filled.write(make_rows(part), features[part])
    return filled, features


def numbers(found):
    return found.path.str.extract(r"(\d+)")[0].astype(int).to_numpy()


def bytes_below(folder):
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())

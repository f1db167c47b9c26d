"""Decoding many images: those that cannot be read are named, and the cache on disk holds the same."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from PIL import Image

from hacnn_tf.data import load
from hacnn_tf.data.decode import mat_image_path, read_image
from hacnn_tf.data.load import load_images
from hacnn_tf.utils.errors import InputError

SIZE = (20, 10)
COLOUR = (200, 120, 40)


def save(path, array=None):
    image = Image.new("RGB", SIZE[::-1], COLOUR) if array is None else Image.fromarray(array)
    image.save(path)
    return str(path)


def test_all_unreadable_files_are_named_with_the_reason(tmp_path):
    rng = np.random.default_rng(0)
    good = save(tmp_path / "good.jpg", array=rng.integers(0, 256, (160, 64, 3), dtype=np.uint8))
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:2000])
    save(tmp_path / "whole.png", array=rng.integers(0, 256, (160, 64, 3), dtype=np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    names = ["empty.jpg", "text.jpg", "cut.jpg", "cut.png", "gone.jpg"]
    with pytest.raises(InputError) as error:
        load_images([good, *[str(tmp_path / name) for name in names]], SIZE)
    message = str(error.value)
    assert message.startswith("5 of 6 images cannot be read: ")
    for name, reason in zip(
        names, ["empty file", "not an image that Pillow reads", "damaged", "damaged", "no such file"], strict=True
    ):
        assert f"{name} ({reason}" in message
    assert "good.jpg" not in message


def test_a_broken_image_inside_a_mat_file_is_named(tmp_path):
    with h5py.File(tmp_path / "cuhk-03.mat", "w") as file:
        good = file.create_dataset("good", data=np.zeros((3, 4, 6), np.uint8)).ref
        flat = file.create_dataset("flat", data=np.zeros(2, np.uint64)).ref
        pair = file.create_dataset("pair", data=np.array([[good], [flat]], h5py.ref_dtype)).ref
        file.create_dataset("detected", data=np.array([[pair]], h5py.ref_dtype))
    paths = [mat_image_path(tmp_path / "cuhk-03.mat", "detected", 1, 1, view) for view in (1, 2, 3)]
    assert load_images(paths[:1], SIZE).shape == (1, *SIZE, 3)
    with pytest.raises(InputError, match="2 of 3 images cannot be read") as error:
        load_images(paths, SIZE)
    assert paths[1] in str(error.value) and paths[2] in str(error.value) and paths[0] not in str(error.value)


def test_a_mat_file_of_no_size_is_read_neither_beyond_memory_nor_out_of_other_files(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(72))
    with h5py.File(tmp_path / "a.mat", "w") as file:
        huge = file.create_dataset("huge", (3, 10**6, 10**6), np.uint8, chunks=(3, 64, 64)).ref  # nothing is stored
        outside = file.create_dataset(
            "outside", (3, 4, 6), np.uint8, external=[(str(tmp_path / "secret.bin"), 0, 72)]
        ).ref
        layout = h5py.VirtualLayout((3, 4, 6), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.mat"), "pixels", layout.shape)
        virtual = file.create_virtual_dataset("virtual", layout).ref
        pair = file.create_dataset("pair", data=np.array([[huge], [outside], [virtual]], h5py.ref_dtype))
        file.create_dataset("detected", data=np.array([[pair.ref]], h5py.ref_dtype))
    elsewhere = "its pixels are in another file"
    for view, reason in ((1, "image of too many pixels"), (2, elsewhere), (3, elsewhere)):
        with pytest.raises(InputError, match=reason):
            read_image(mat_image_path(tmp_path / "a.mat", "detected", 1, 1, view))


def test_the_disk_cache_holds_the_same_and_notices_changed_files(tmp_path):
    paths = [save(tmp_path / f"{i}.png", array=np.full((30, 15, 3), 40 * i, np.uint8)) for i in range(3)]
    cache = tmp_path / "cache"
    expected = load_images(paths, SIZE)
    for _ in range(2):
        cached = load_images(paths, SIZE, cache)
        assert isinstance(cached, np.memmap)
        np.testing.assert_array_equal(cached, expected)
        assert len(list(cache.glob("*.npy"))) == 1
    np.testing.assert_array_equal(load_images(paths[::-1], SIZE, cache), expected[::-1])
    assert load_images(paths, (8, 4), cache).shape == (3, 8, 4, 3)
    save(tmp_path / "0.png", array=np.full((31, 15, 3), 200, np.uint8))
    assert load_images(paths, SIZE, cache)[0].min() == 200


def test_one_process_builds_a_disk_cache_for_all(tmp_path, monkeypatch):
    paths = [save(tmp_path / f"{i}.png") for i in range(3)]
    cache, built, begun, told = tmp_path / "cache", [], threading.Event(), threading.Semaphore(0)
    decode = load._decode_into

    def slowly(*args):
        built.append(1)
        begun.set()
        assert all(told.acquire(timeout=60) for _ in range(2))
        decode(*args)

    monkeypatch.setattr(load, "_decode_into", slowly)
    monkeypatch.setattr("builtins.print", lambda *_, **__: told.release())
    with ThreadPoolExecutor(3) as pool:  # each opens the lock for itself, as processes do
        first = pool.submit(load_images, paths, SIZE, cache)
        assert begun.wait(60)
        others = [pool.submit(load_images, paths, SIZE, cache) for _ in range(2)]
        for waiting in others:
            np.testing.assert_array_equal(waiting.result(), first.result())
    assert built == [1] and len(list(cache.glob("*.npy"))) == 1


def test_the_disk_cache_notices_a_changed_file_of_the_same_size(tmp_path):
    for nanoseconds, grey in ((1, 40), (2, 200)):
        path = save(tmp_path / "a.bmp", array=np.full((30, 15, 3), grey, np.uint8))
        os.utime(path, ns=(10**18 + nanoseconds,) * 2)
        assert load_images([path], SIZE, tmp_path / "cache")[0].min() == grey


def test_the_disk_cache_of_another_decoder_is_not_taken(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png")
    load_images([path], SIZE, tmp_path / "cache")
    monkeypatch.setattr(load, "DECODER_VERSION", load.DECODER_VERSION + 1)
    load_images([path], SIZE, tmp_path / "cache")
    monkeypatch.setattr(load.PIL, "__version__", "0.0.0")
    load_images([path], SIZE, tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 3


def test_the_disk_cache_is_for_its_owner_alone(tmp_path):
    path = save(tmp_path / "a.png")
    load_images([path], SIZE, tmp_path / "cache")
    (cached,) = (tmp_path / "cache").glob("[!.]*")
    assert cached.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cache", ["file", "damaged", "others", "floats"])
def test_a_disk_cache_that_cannot_be_used_is_one_sentence(tmp_path, cache):
    paths = [save(tmp_path / "a.png")]
    if cache == "file":
        (tmp_path / "cache").touch()
    else:
        load_images(paths, SIZE, tmp_path / "cache")
        (cached,) = (tmp_path / "cache").glob("[!.]*")
        if cache == "damaged":
            cached.write_bytes(b"broken")
        else:
            np.save(cached, np.zeros((2, *SIZE, 3), np.uint8) if cache == "others" else np.zeros((1, *SIZE, 3)))
    with pytest.raises(InputError, match=r"is not a folder that you may write to|remove it, and it is rebuilt"):
        load_images(paths, SIZE, tmp_path / "cache")


def test_parts_of_killed_processes_are_swept(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / ".0123456789abcdef.0123abcd.part.npy").touch()
    (cache / ".features.0123abcd.part.npz").touch()  # which another command may be writing
    load_images([save(tmp_path / "a.png")], SIZE, cache)
    assert sorted(path.name for path in cache.glob(".*")) == [".features.0123abcd.part.npz", ".lock"]


def test_more_images_than_memory_holds_is_one_sentence(tmp_path, monkeypatch):
    def full(shape, dtype):
        raise MemoryError

    paths = [save(tmp_path / "a.png")]
    monkeypatch.setattr(np, "empty", full)
    with pytest.raises(InputError, match=r"1 images take 49,152 GiB of memory, .*keep them in a file"):
        load_images(paths, (2**22, 2**22))


def test_a_failed_disk_cache_leaves_nothing(tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(InputError):
        load_images([str(tmp_path / "text.jpg")], SIZE, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_container_with_a_share_of_a_large_machine_decodes_few_images_at_once(tmp_path, monkeypatch):
    path, at_once, most = save(tmp_path / "a.png"), [], []

    def read(*_):
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.01)
        at_once.pop()
        return np.zeros((*SIZE, 3), np.uint8)

    monkeypatch.setattr(load, "read_image", read)
    for processors, threads in ((2, 2), (128, 8)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=processors: range(n))
        most.clear()
        load_images([path] * 64, SIZE)
        assert max(most) == threads


def test_paths_are_as_good_as_texts(tmp_path):
    place = tmp_path / "a.png"
    Image.new("RGB", (4, 6), (9, 8, 7)).save(place)
    for cache in (None, tmp_path / "cache"):
        np.testing.assert_array_equal(load_images([place], (6, 4), cache), load_images([str(place)], (6, 4)))

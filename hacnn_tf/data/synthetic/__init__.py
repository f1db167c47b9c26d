"""The synthetic dataset: procedural persons before procedural cameras, in CUHK03-NP's folder layout."""

import io
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from hacnn_tf.data.dataset import Counts, ReidDataset, check_counts
from hacnn_tf.data.folders import BOXES_FOLDERS, FOLDERS, read_folders
from hacnn_tf.data.listing import image_suffixes, is_hidden
from hacnn_tf.data.manifest import NAMES as MANIFESTS
from hacnn_tf.data.parallel import available_cores
from hacnn_tf.data.synthetic.camera import PLACES, Box, Camera, Moment
from hacnn_tf.data.synthetic.person import Person
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import atomic_write, expanded, read_if_whole
from hacnn_tf.utils.types import FilePath
from hacnn_tf.utils.waiting import bar

VERSION = 1  # of the images; raise it when they change
SEED = 2018
TRAIN_IDENTITIES, TEST_IDENTITIES, CAMERAS = 200, 100, 4
TRAIN_IMAGES, QUERY_IMAGES, GALLERY_IMAGES = 2, 1, 2  # of an identity, a camera
COUNTS = {
    "train": Counts(TRAIN_IDENTITIES * CAMERAS * TRAIN_IMAGES, TRAIN_IDENTITIES),
    "query": Counts(TEST_IDENTITIES * CAMERAS * QUERY_IMAGES, TEST_IDENTITIES),
    "gallery": Counts(TEST_IDENTITIES * CAMERAS * GALLERY_IMAGES, TEST_IDENTITIES),
}


def read_synthetic(data_root: FilePath, boxes: str = "detected", allow_subset: bool = False) -> ReidDataset:
    """The synthetic dataset, made below `data_root` on first use.

    Args:
        data_root: folder that holds, or will hold, `synthetic`.
        boxes: "detected" (badly placed) or "labelled" (tight).
        allow_subset: accept a part of it.

    Returns:
        A `ReidDataset`.

    Raises:
        InputError: it cannot be written, is incomplete, was made by another version, or would be made among images of
            one's own.
    """
    folder = Path(expanded(data_root)) / "synthetic"
    if not folder.exists():
        if _holds_own_images(folder.parent):
            raise InputError(
                f"{data_root} holds images, and the synthetic dataset would be made among them: name another "
                "--data_root for it, or --dataset folder if they are what you mean."
            )
        print(f"Making the synthetic dataset in {folder} ...", flush=True)
        try:
            make_synthetic(folder)
        except InputError:
            if not folder.exists():  # else another process has made it meanwhile
                raise
    if read_if_whole(folder / "dataset.json").get("version") != VERSION:
        raise InputError(f"{folder} was not made by this version of hacnn_tf: remove it, and it is rebuilt.")
    dataset = read_folders(folder / BOXES_FOLDERS[boxes], f"synthetic, {boxes} boxes")
    check_counts(dataset, folder, COUNTS, allow_subset)
    return dataset


def _holds_own_images(data_root: Path) -> bool:
    """Whether a folder has images, a manifest, or folders of images alone, as of identities, rather than datasets."""
    suffixes = image_suffixes()

    def holds_images(folder: Path) -> bool:
        return folder.is_dir() and any(path.suffix.lower() in suffixes for path in folder.iterdir())

    try:
        entries = [path for path in data_root.iterdir() if not is_hidden(path.name)]
        layouts = {*MANIFESTS, FOLDERS["train"], FOLDERS["gallery"]}
        if layouts & {path.name for path in entries} or holds_images(data_root):
            return True
        folders = [path for path in entries if path.is_dir() and any(path.iterdir())]
        return len(folders) > 1 and all(map(holds_images, folders))
    except OSError:  # not there yet, or not to be read, of which the attempt to write says more
        return False


def make_synthetic(folder: FilePath, identities: tuple[int, int] = (TRAIN_IDENTITIES, TEST_IDENTITIES)) -> None:
    """Writes `FOLDER/{detected,labeled}/{bounding_box_train,query,bounding_box_test}`, whole or not at all.

    Each scene is photographed once and cut out twice, with tight and with badly placed boxes. An image depends on the
    identity, the camera, its number and `SEED`, and on nothing else.

    Args:
        folder: to be made.
        identities: number of training and of test identities.

    Raises:
        InputError: it cannot be written.
    """
    cameras = make_cameras()
    with atomic_write(folder) as part:
        for boxes in BOXES_FOLDERS.values():
            for split in ("train", "query", "gallery"):
                (part / boxes / FOLDERS[split]).mkdir(parents=True)

        def write_images(pid: int) -> None:
            trained = pid <= identities[0]
            splits = ["train"] * TRAIN_IMAGES if trained else ["query"] * QUERY_IMAGES + ["gallery"] * GALLERY_IMAGES
            for camid, camera in enumerate(cameras, start=1):
                for index, split in enumerate(splits, start=1):
                    for boxes, image in make_images(camera, pid, camid, index).items():
                        name = f"{pid:04d}_c{camid}_{index}.jpg"
                        (part / BOXES_FOLDERS[boxes] / FOLDERS[split] / name).write_bytes(image)

        with ThreadPoolExecutor(available_cores()) as pool:
            pids = range(1, sum(identities) + 1)
            for _ in bar(pool.map(write_images, pids), "Drawing", len(pids), "person"):
                pass  # where there was an error, it is raised here
        content = {"version": VERSION, "seed": SEED, "identities": list(identities)}
        (part / "dataset.json").write_text(json.dumps(content))


def make_cameras() -> list[Camera]:
    """The cameras, one at each place, each seeing people mostly from another side."""
    return [
        Camera.random(np.random.default_rng([SEED, 0, i]), place, math.pi / 2 * i + 0.4)
        for i, place in enumerate(PLACES)
    ]


def make_images(camera: Camera, pid: int, camid: int, index: int) -> dict[str, bytes]:
    """One photograph of an identity, cut out by "labelled" and "detected" boxes: dict of JPEG bytes."""
    rng = np.random.default_rng([SEED, pid, camid, index])
    return _cut_out(camera, pid, rng, Person.random(rng))


def make_track(camera: Camera, pid: int, camid: int, index: int, frames: int) -> list[dict[str, bytes]]:
    """As `make_images`, photographs of one passage of an identity: before one background, in one direction.

    Args:
        camera: one of `make_cameras`.
        pid, camid: the identity, and the number of the camera.
        index: of the passage, any from 0; another is another passage.
        frames: how many photographs.
    """
    rng = np.random.default_rng([SEED, pid, camid, index, frames])
    passer_by = Person.random(rng)
    return [_cut_out(camera, pid, rng, passer_by, moment) for moment in camera.passage(rng, frames)]


def _cut_out(
    camera: Camera, pid: int, rng: np.random.Generator, passer_by: Person, moment: Moment | None = None
) -> dict[str, bytes]:
    person = Person.random(np.random.default_rng([SEED, pid]))
    scene, tight = camera.photograph(person, rng, passer_by, moment)
    boxes = {boxes: _inside(camera.box(tight, rng, boxes == "detected"), scene) for boxes in BOXES_FOLDERS}
    corners = np.array(list(boxes.values()))
    left, top = corners[:, :2].min(axis=0).tolist()
    scene = camera.develop(scene.crop((left, top, *corners[:, 2:].max(axis=0).tolist())), rng)  # what the boxes show
    images = {}
    for name, box in boxes.items():
        file = io.BytesIO()
        scene.crop(np.subtract(box, (left, top, left, top)).tolist()).save(file, "JPEG", quality=90)
        images[name] = file.getvalue()
    return images


def _inside(box: Box, image: Image.Image) -> Box:
    """A box cut off at the borders of an image."""
    left, top, right, bottom = box
    return max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)

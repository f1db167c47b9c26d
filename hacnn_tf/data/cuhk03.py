"""CUHK03: the original `cuhk-03.mat`, read in place, and the CUHK03-NP folders."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hacnn_tf.data.dataset import Counts, ReidDataset, check_counts, find_folder, make_table
from hacnn_tf.data.decode import mat_image_path
from hacnn_tf.data.folders import BOXES_FOLDERS, read_folders
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.types import FilePath

if TYPE_CHECKING:
    import h5py

MAT = "cuhk-03.mat"
COUNTS_767_700 = {
    "detected": {"train": Counts(7365, 767), "query": Counts(1400, 700), "gallery": Counts(5332, 700)},
    "labelled": {"train": Counts(7368, 767), "query": Counts(1400, 700), "gallery": Counts(5328, 700)},
}
COUNTS_1367_100 = {"train": Counts(identities=1367), "query": Counts(identities=100), "gallery": Counts(identities=100)}
SOURCE = "get it as data/README.md says and unpack it there"
Place = tuple[int, int, int]  # of an image: pair of cameras, identity, view
Found = TypeVar("Found")


def read_cuhk03(
    data_root: FilePath, split: str = "767_700", boxes: str = "detected", testset: int = 1, allow_subset: bool = False
) -> ReidDataset:
    """CUHK03 under either of its protocols, or all of it to train on.

    767/700 is read from the CUHK03-NP folders (`cuhk03-np/detected`, `cuhk03-np/labeled`) or, if there are none, from
    `cuhk-03.mat` (in `cuhk03_release` or `cuhk03`) with `cuhk03_new_protocol_config_*.mat` beside it or one folder up.
    1367/100 needs `cuhk-03.mat`; queries are the first camera's images, the gallery the second's, single-shot. Where
    all is trained on, the images are those of 767/700, and another dataset has to be tested on.

    Args:
        data_root: folder that holds the folders named above.
        split: "767_700", "1367_100" or "all".
        boxes: "detected" or "labelled".
        testset: which of the 20 test sets of 1367/100, from 1.
        allow_subset: accept a part of the dataset.

    Returns:
        A `ReidDataset`; see `hacnn_tf.data.decode` for the paths of images inside `cuhk-03.mat`.

    Raises:
        InputError: missing, incomplete, or config and images that do not belong together.
    """
    data_root = Path(expanded(data_root))
    name = f"CUHK03 {'all identities' if split == 'all' else split.replace('_', '/')}, {boxes} boxes"
    if split == "1367_100":
        folder = find_folder(data_root, ["cuhk03_release", "cuhk03"], "CUHK03 (1367/100 needs cuhk-03.mat)", SOURCE)
        dataset = ReidDataset(f"{name}, test set {testset}", _read_testset(folder / MAT, boxes, testset), True)
        check_counts(dataset, folder, COUNTS_1367_100, allow_subset)
        return dataset
    folder = find_folder(data_root, ["cuhk03-np", "cuhk03_release", "cuhk03"], "CUHK03", SOURCE)
    if (folder / MAT).exists():
        config = f"cuhk03_new_protocol_config_{BOXES_FOLDERS[boxes]}.mat"
        found = [path for path in (folder / config, folder.parent / config) if path.exists()]
        if not found:
            raise InputError(f"The 767/700 protocol needs {config} beside {folder / MAT}: {SOURCE}.")
        dataset = ReidDataset(name, _read_config(folder / MAT, found[0], boxes))
    else:
        dataset = read_folders(_boxes_folder(folder, boxes), name)
    check_counts(dataset, folder, COUNTS_767_700[boxes], allow_subset)
    return dataset if split != "all" else dataclasses.replace(dataset, table=dataset.table.assign(split="train"))


def mat_images(mat: Path, boxes: str) -> list[str]:
    """The paths of all images inside `cuhk-03.mat`, of detected or labelled boxes."""
    present, _ = _read_mat(mat, lambda file: _present(file, boxes))
    return [mat_image_path(mat, BOXES_FOLDERS[boxes], *place) for place in sorted(present)]


def _boxes_folder(folder: Path, boxes: str) -> Path:
    for spelling in (BOXES_FOLDERS[boxes], boxes):
        if (folder / spelling).is_dir():
            return folder / spelling
    raise InputError(f"{folder} holds neither {MAT} nor a folder {BOXES_FOLDERS[boxes]}: is this CUHK03? {SOURCE}.")


def _read_config(mat: Path, config: Path, boxes: str) -> pd.DataFrame:
    """The table of the 767/700 protocol: `filelist` names are `pair_identity_camera_view.png`, all counted from 1."""
    import scipy.io

    try:
        protocol = scipy.io.loadmat(config)
        names = [str(name[0]) for name in protocol["filelist"].ravel()]
        numbers = [[int(part) for part in name.removesuffix(".png").split("_")] for name in names]
        places = [(pair, identity, view) for pair, identity, _, view in numbers]
        columns = pd.DataFrame({"pid": protocol["labels"].ravel(), "camid": protocol["camId"].ravel()})
        columns["path"] = [mat_image_path(mat, BOXES_FOLDERS[boxes], *place) for place in places]
        columns.index += 1
        rows = {split: columns.loc[protocol[f"{split}_idx"].ravel()] for split in ("train", "query", "gallery")}
    except Exception as error:  # whatever reading a file of another kind stumbles over
        raise InputError(f"{config} is not a protocol file of CUHK03's 767/700 split ({error}); {SOURCE}.") from None
    present, _ = _read_mat(mat, lambda file: _present(file, boxes))
    missing = [name for name, place in zip(names, places, strict=True) if place not in present]
    if missing:
        raise InputError(
            f"{config} does not fit {mat}: {len(missing):,} of its {len(names):,} images are not there, "
            f"{missing[0]} the first; take the config of the {boxes} boxes."
        )
    return pd.concat([make_table(r.path, r.pid, r.camid, split) for split, r in rows.items()], ignore_index=True)


def _read_testset(mat: Path, boxes: str, testset: int) -> pd.DataFrame:
    """The table of one of the 20 test sets of the 1367/100 protocol."""

    def read(file: "h5py.File") -> tuple[int, NDArray | None, set[Place], list[int]]:
        sets = np.ravel(file["testsets"])
        chosen = np.asarray(file[sets[testset - 1]], dtype=int).T if testset <= len(sets) else None
        return len(sets), chosen, *_present(file, boxes)

    count, chosen, present, identities = _read_mat(mat, read)
    if chosen is None:
        raise InputError(f"CUHK03 has test sets 1 to {count}, not {testset}.")
    tested = {(pair, identity) for pair, identity in chosen.tolist()}
    first_pid = np.cumsum([0, *identities])
    rows = []
    for pair, identity, view in sorted(present):
        camera = 1 if view <= 5 else 2
        rows.append(
            {
                "path": mat_image_path(mat, BOXES_FOLDERS[boxes], pair, identity, view),
                "pid": first_pid[pair - 1] + identity,
                "camid": camera,
                "split": ("query" if camera == 1 else "gallery") if (pair, identity) in tested else "train",
            }
        )
    return pd.DataFrame(rows, columns=["path", "pid", "camid", "split"])


def _read_mat(mat: Path, read: "Callable[[h5py.File], Found]") -> Found:
    """What `read` gets from the open `cuhk-03.mat`. Raises `InputError` if that is no such file."""
    if not mat.exists():
        raise InputError(f"{mat} is missing: {SOURCE}.")
    import h5py

    try:
        with h5py.File(mat, "r") as file:
            return read(file)
    except Exception as error:  # whatever reading a file of another kind stumbles over
        raise InputError(f"{mat} is not CUHK03's, or damaged ({error}); {SOURCE}.") from None


def _present(file: "h5py.File", boxes: str) -> tuple[set[Place], list[int]]:
    """The (pair, identity, view) of every image that is there, each from 1, and the number of identities of each pair.

    An absent view is an empty array.
    """
    present: set[Place] = set()
    identities: list[int] = []
    for pair, reference in enumerate(np.ravel(file[BOXES_FOLDERS[boxes]]), start=1):
        views = file[reference][()]
        identities.append(views.shape[1])
        for (view, identity), image in np.ndenumerate(views):
            if image and file[image].ndim == 3:
                present.add((pair, identity + 1, view + 1))
    return present, identities

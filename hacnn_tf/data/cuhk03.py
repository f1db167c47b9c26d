"""CUHK03: the original `cuhk-03.mat`, read in place, and the CUHK03-NP folders."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.io

from hacnn_tf.data.folders import read_folders
from hacnn_tf.data.images import mat_image_path
from hacnn_tf.data.table import ReidDataset, check_counts, find_folder, make_table
from hacnn_tf.errors import InputError, listing

MAT = "cuhk-03.mat"
MAT_NAMES = {"detected": "detected", "labelled": "labeled"}  # the files' own spelling
COUNTS = {  # of the 767/700 protocol
    "detected": {"train": 7365, "query": 1400, "gallery": 5332},
    "labelled": {"train": 7368, "query": 1400, "gallery": 5328},
}
SOURCE = "get it as data/README.md says and unpack it there"


def read_cuhk03(data_root, split="767_700", boxes="detected", testset=1, allow_subset=False):
    """CUHK03 under either of its protocols.

    767/700 is read from the CUHK03-NP folders (`cuhk03-np/detected`, `cuhk03-np/labeled`) or, if there are none, from
    `cuhk-03.mat` (in `cuhk03_release` or `cuhk03`) with `cuhk03_new_protocol_config_*.mat` beside it or in `data_root`.
    1367/100 needs `cuhk-03.mat`; queries are the first camera's images, the gallery the second's, single-shot.

    Args:
        data_root: folder that holds the folders named above.
        split: "767_700" or "1367_100".
        boxes: "detected" or "labelled".
        testset: which of the 20 test sets of 1367/100, from 1.
        allow_subset: accept a part of the dataset.

    Returns:
        A `ReidDataset`; see `hacnn_tf.data.images` for the paths of images inside `cuhk-03.mat`.

    Raises:
        InputError: missing, incomplete, or config and images that do not belong together.
    """
    data_root = Path(data_root)
    name = f"CUHK03 {split.replace('_', '/')}, {boxes} boxes"
    if split == "1367_100":
        folder = find_folder(data_root, ["cuhk03_release", "cuhk03"], "CUHK03 (1367/100 needs cuhk-03.mat)", SOURCE)
        dataset = ReidDataset(f"{name}, test set {testset}", _read_testset(folder / MAT, boxes, testset), True)
        check_counts(dataset, folder, {}, allow_subset)
        return dataset
    folder = find_folder(data_root, ["cuhk03-np", "cuhk03_release", "cuhk03"], "CUHK03", SOURCE)
    if (folder / MAT).exists():
        config = f"cuhk03_new_protocol_config_{MAT_NAMES[boxes]}.mat"
        found = [path for path in (folder / config, data_root / config) if path.exists()]
        if not found:
            raise InputError(f"The 767/700 protocol needs {config} beside {folder / MAT}: {SOURCE}.")
        dataset = ReidDataset(name, _read_config(folder / MAT, found[0], boxes))
    else:
        dataset = ReidDataset(name, read_folders(_boxes_folder(folder, boxes)))
    check_counts(dataset, folder, COUNTS[boxes], allow_subset)
    return dataset


def _boxes_folder(folder, boxes):
    for spelling in (MAT_NAMES[boxes], boxes):
        if (folder / spelling).is_dir():
            return folder / spelling
    raise InputError(f"{folder} holds neither {MAT} nor a folder {MAT_NAMES[boxes]}: is this CUHK03? {SOURCE}.")


def _read_config(mat, config, boxes):
    """The table of the 767/700 protocol: `filelist` names are `pair_identity_camera_view.png`, all counted from 1."""
    try:
        protocol = scipy.io.loadmat(config)
        names = [str(name[0]) for name in protocol["filelist"].ravel()]
        labels, cameras = protocol["labels"].ravel(), protocol["camId"].ravel()
        indices = {split: protocol[f"{split}_idx"].ravel() for split in ("train", "query", "gallery")}
        places = [tuple(int(part) for part in name.removesuffix(".png").split("_")) for name in names]
    except Exception as error:  # whatever the reader of MATLAB files stumbles over
        raise InputError(f"{config} is not a protocol file of CUHK03's 767/700 split ({error}); {SOURCE}.") from None
    with _open(mat) as file:
        present = _present(file, MAT_NAMES[boxes])
    missing = [
        name
        for name, (pair, identity, _, view) in zip(names, places, strict=True)
        if (pair, identity, view) not in present
    ]
    if missing:
        raise InputError(
            f"{config} does not fit {mat}: {len(missing):,} of its {len(names):,} images are not there, "
            f"{listing(missing, 3)}; take the config of the {boxes} boxes."
        )
    paths = np.array(
        [mat_image_path(mat, MAT_NAMES[boxes], pair, identity, view) for pair, identity, _, view in places]
    )
    return pd.concat(
        [make_table(paths[i - 1], labels[i - 1], cameras[i - 1], split) for split, i in indices.items()],
        ignore_index=True,
    )


def _read_testset(mat, boxes, testset):
    """The table of one of the 20 test sets of the 1367/100 protocol."""
    with _open(mat) as file:
        references = np.ravel(file["testsets"])
        if not 1 <= testset <= len(references):
            raise InputError(f"CUHK03 has test sets 1 to {len(references)}, not {testset}.")
        pairs, identities = np.asarray(file[references[testset - 1]], dtype=int).reshape(2, -1)
        test = set(zip(pairs.tolist(), identities.tolist(), strict=True))
        present = sorted(_present(file, MAT_NAMES[boxes]))
        first_pid = np.cumsum([0, *_identities(file, MAT_NAMES[boxes])])
    rows = []
    for pair, identity, view in present:
        camera = 1 if view <= 5 else 2
        tested = (pair, identity) in test
        rows.append(
            {
                "path": mat_image_path(mat, MAT_NAMES[boxes], pair, identity, view),
                "pid": first_pid[pair - 1] + identity,
                "camid": camera,
                "split": ("query" if camera == 1 else "gallery") if tested else "train",
            }
        )
    return pd.DataFrame(rows)


def _open(mat):
    if not mat.exists():
        raise InputError(f"{mat} is missing: {SOURCE}.")
    try:
        file = h5py.File(mat, "r")
    except OSError as error:
        raise InputError(f"{mat} cannot be read as MATLAB v7.3 ({error}); {SOURCE}.") from None
    missing = [name for name in ("detected", "labeled", "testsets") if name not in file]
    if missing:
        file.close()
        raise InputError(f"{mat} is not CUHK03's: it has no {' or '.join(missing)}; {SOURCE}.")
    return file


def _identities(file, boxes):
    """Number of identities of each camera pair."""
    return [file[pair].shape[-1] for pair in np.ravel(file[boxes])]


def _present(file, boxes):
    """The (pair, identity, view) of every image that is there, each from 1; an absent view is an empty array."""
    present = set()
    for pair, reference in enumerate(np.ravel(file[boxes]), start=1):
        for (view, identity), image in np.ndenumerate(file[reference][()]):
            if file[image].ndim == 3:
                present.add((pair, identity + 1, view + 1))
    return present

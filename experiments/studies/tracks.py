"""What do tracks bring, and how should their images become one feature? Measured on drawn people who walk past cameras.

    python experiments/studies/tracks.py --output runs/tracks --model hacnn_cuhk03_detected

Draws two sets of tracks below OUTPUT, `validation` and `test`, each with a manifest, of people and passages that are in
no other set, before the cameras of the synthetic dataset. Something covers a part of the person in three of ten frames.
Prints Rank-1 and mAP of each model on both, image to image, and track to track by each way of pooling, of which one is
to be chosen by the validation set alone.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
from scipy.ndimage import laplace

from hacnn_tf import ReID
from hacnn_tf.data.custom import read_custom
from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.data.load import load_images
from hacnn_tf.data.synthetic import make_cameras, make_track
from hacnn_tf.evaluation import evaluate_features, extract_features
from hacnn_tf.evaluation.tracks import pool_tracks, track_numbers, unit_branches
from hacnn_tf.utils import cli
from hacnn_tf.utils.files import atomic_write

FIRST = {"validation": 301, "test": 401}  # identities; those of the synthetic dataset end with 300
TRACKS, FRAMES = 2, 6  # of a person and a camera; of a track
SPLITS = ("query", "gallery")

COMMAND = cli.Command(__doc__, "tracks")
COMMAND.group("Study")
COMMAND.define("multi_path", "model", ["hacnn_cuhk03_detected"], "as in ReID.from_preset; give it again for more")
COMMAND.define("path", "output", None, "where the drawn tracks are, or will be")
COMMAND.define("integer", "identities", 100, "in each set", lower_bound=2, upper_bound=100)


def draw(folder, pids):
    """Writes a folder with tracks of some identities and their manifest, whole or not at all."""
    lines = ["path,pid,camid,track,split"]
    with atomic_write(folder) as part:
        part.mkdir()
        for camid, camera in enumerate(make_cameras(), 1):
            for pid in pids:
                for track in range(TRACKS):
                    for frame, boxes in enumerate(make_track(camera, pid, camid, track, FRAMES)):
                        name = f"{pid:04}_c{camid}_t{track}_{frame}.jpg"
                        (part / name).write_bytes(boxes["detected"])
                        lines.append(f"{name},{pid},{camid},{pid}-{camid}-{track},{'gallery' if track else 'query'}")
        (part / "manifest.csv").write_text("\n".join(lines) + "\n")


def sharpness(images):
    """The variance of the Laplacian `(n, 1)` of grey images, over their mean."""
    grey = [np.asarray(PIL.Image.fromarray(image).convert("L"), np.float32) for image in images]
    found = np.array([[laplace(image).var()] for image in grey], np.float32)
    return found / found.mean()


def poolings(images, features, tracks, branches):
    """Dict from the name of a way of pooling to the features of tracks that it gives."""
    medians = [np.median(features[tracks == track], axis=0) for track in range(tracks.max() + 1)]
    return {
        "mean": pool_tracks(features, tracks, branches),
        "median": unit_branches(np.array(medians, np.float32), branches),
        "by sharpness": pool_tracks(features * sharpness(images), tracks, branches),
    }


def measured(rows, features, branches):
    """Rank-1 and mAP of some rows with a `split` and their features."""
    parts = {split: features[(rows.split == split).to_numpy()] for split in SPLITS}
    joint = evaluate_features(ReidDataset("", rows), parts, branches=branches)["single_query"]["joint"]
    return f"{joint['rank1']:>8.1f}{joint['mAP']:>8.1f}"


def main(flags):
    cli.require(flags, "output")
    folders = {Path(flags.output) / f"{name}-{flags.identities}": first for name, first in FIRST.items()}
    for folder, first in folders.items():
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            draw(folder, range(first, first + flags.identities))
    for name in flags.model:
        model = ReID.from_preset(name)
        for folder in folders:
            dataset = read_custom(folder)
            rows = pd.concat([dataset.split(split) for split in SPLITS], ignore_index=True)
            images = load_images(rows.path, model.input_size)
            features, tracks = extract_features(model.extract, images), track_numbers(rows)
            print(f"{name}, {folder.name + ':':<24}  Rank-1     mAP")
            print(f"  {'image to image':<30}{measured(rows, features, model.branches)}")
            for pooling, pooled in poolings(images, features, tracks, model.branches).items():
                line = measured(rows.groupby(tracks).first(), pooled, model.branches)
                print(f"  {'track to track, ' + pooling:<30}{line}", flush=True)


if __name__ == "__main__":
    COMMAND.run(main)

"""Run folders as a training leaves them, without the training."""

import numpy as np

from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.evaluation import CMC_LENGTH, MEASURES
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import Settings


def make_run(folder, rank1, images=("a.jpg", "b.jpg"), finished=True, tested=None, **settings):
    """Writes a run folder of these flags.

    Its joint, global and local Rank-1 are `rank1` less 0, 10 and 20, and mAP is half of that; without the local branch
    the joint one is the global one.
    """
    settings = Settings.from_flags({"dataset": "synthetic", "recipe": None, **settings})
    dataset = ReidDataset(settings.dataset, make_table(images, range(1, len(images) + 1), [1] * len(images), "train"))
    run = RunFolder.create(folder, settings, dataset)
    if finished:
        parts = PARTS if settings.local else {"joint": 0, "global": 0}
        results = {"single_query": {p: measures(rank1 - d) for p, d in parts.items()}}
        run.write_metrics(results, settings.epochs, tested)
    return run


PARTS = {"joint": 0, "global": 10, "local": 20}


def measures(rank1):
    values = dict.fromkeys(MEASURES, rank1 / 2) | {"rank1": rank1}
    return {**values, "cmc": np.linspace(rank1, 100, CMC_LENGTH).tolist(), "queries": 10, "unmatched": 0}

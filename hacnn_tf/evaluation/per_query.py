"""What became of each query: the ranks of its true matches, and the image that came first."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.evaluation.ranking import rank_matches, searched_rows, squared_norms, whole_distances
from hacnn_tf.utils.types import Features

IMAGE = ["path", "pid", "camid"]


def per_query(dataset: ReidDataset, features: Mapping[str, Features]) -> pd.DataFrame:
    """The result of each query by L2 distance, single-query, in the order of `dataset.split("query")`.

    Args:
        dataset: a `ReidDataset`, whose whole gallery is ranked, also in a single-shot protocol.
        features: dict of "query" and "gallery", as in `evaluate_features`.

    Returns:
        `pandas.DataFrame` with the query's `path`, `pid` and `camid`; `matches`, how many true matches it has;
        `first_rank` and `last_rank` of these, from 1, and `AP` and `INP`, in percent, whose means are mAP and mINP, all
        missing without a true match; and of the nearest image that is not left out for this query `nearest_path`,
        `nearest_pid`, `nearest_camid` and `nearest_distance` (L2), missing if all are left out.

    Raises:
        InputError: as of `rank_matches`.
    """
    features = {split: np.asarray(found) for split, found in features.items()}
    query, gallery = dataset.split("query"), dataset.split("gallery")
    people = [rows[name] for name in ("pid", "camid") for rows in (query, gallery)]
    matches = rank_matches(features["query"], features["gallery"], *people)
    result = query[IMAGE].assign(matches=0)
    result.loc[matches.queries, "matches"] = matches.counts
    for name, values in {
        "first_rank": matches.first_ranks,
        "last_rank": matches.last_ranks,
        "AP": 100 * matches.average_precisions(),
        "INP": 100 * matches.counts / matches.last_ranks,
    }.items():
        result[name] = pd.Series(values, matches.queries).reindex(query.index)
    ranks = ["first_rank", "last_rank"]
    result[ranks] = result[ranks].astype("Int64")
    nearest, halves = np.empty(len(query), np.int64), np.empty(len(query), np.float32)
    for i, (row, _) in enumerate(searched_rows(features["query"], features["gallery"], *people)):
        nearest[i] = row.argmin()
        halves[i] = row[nearest[i]]
    first = gallery.loc[nearest, IMAGE].set_axis(query.index).add_prefix("nearest_")
    first["nearest_distance"] = whole_distances(halves, squared_norms(features["query"]))
    first = first.astype({"nearest_pid": "Int64", "nearest_camid": "Int64"})
    return result.join(first[np.isfinite(halves)])

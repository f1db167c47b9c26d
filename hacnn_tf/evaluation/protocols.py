"""From features to the numbers that papers report."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hacnn_tf.data.dataset import ReidDataset, matched
from hacnn_tf.evaluation.features import feature_part, parts_of
from hacnn_tf.evaluation.measures import CMC_LENGTH, CMC_RANKS, RATES
from hacnn_tf.evaluation.pairs import compared_pairs
from hacnn_tf.evaluation.ranking import Matches, check_rows, half_distances, rank_matches
from hacnn_tf.evaluation.tracks import pool_tracks, track_numbers
from hacnn_tf.evaluation.verification import identify, verify, without_half
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import BRANCHES, Distances, Features, Integers, Results

SINGLE_SHOT_REPEATS = 100
SHOWN_RATES = (10, 1, 0.1, 0.01)  # percent, of those that are measured
Images = tuple[pd.DataFrame, Features]  # a table, and the features of its rows


def evaluate_features(
    dataset: ReidDataset,
    features: Mapping[str, Features],
    seed: int = 0,
    distances: Distances = half_distances,
    branches: Sequence[str] = BRANCHES,
) -> Results:
    """Every measure of a dataset's protocol.

    Args:
        dataset: a `ReidDataset`.
        features: dict from split ("query", "gallery" and, if the dataset has it, "multi_query") to `(n, d)` float32
            features, rows as in `dataset.split(split)`.
        seed: of the random gallery images of a single-shot protocol, and of the persons that an open set lacks.
        distances: as in `rank_matches`; of a single-shot protocol, each of the random galleries has its own.
        branches: whose features stand side by side in a feature, as `HACNN.branches` names them; ("global",) for those
            of a network that has one.

    Returns:
        Dict from setting ("single_query", "multi_query", and "tracks" if any are known, as `track_to_track` has them)
        to dict from part ("joint", "global", "local", Table 7; of one branch "joint" and "global", which are equal) to
        dict of `rank1`, `rank5`, `rank10`, `rank20`, `mAP` (plain), `mAP_trapezoid` (the Market-1501 toolkit's) and
        `mINP`, in percent, `cmc`, the list of Rank-1 to Rank-50, and `queries` and `unmatched`, counts of queries with
        and without a true match. With L2 distances also
        `verification`, a dict of `genuine` and `impostors`, counts of pairs, `eer` and `eer_threshold`, and lists by
        false-accept rate of `far`, `tar` and `threshold`; and `open_set`, in which half of the queries' persons are
        taken out of the gallery, a dict of `mated` and `non_mated`, counts of queries, and lists of `far`, `dir` and
        `threshold`: rates in percent, L2 distances, None where there are too few to tell. Both have the whole gallery,
        also in a single-shot protocol.

    Raises:
        InputError: no query has a true match, a split has other rows than features, these are not of one width, no
            equal branches, not finite, too large or neither float32 nor float64, or a single-shot gallery has images of
            the queries' own cameras.
    """
    features = {split: np.asarray(found) for split, found in features.items()}
    for split in {"query": None, "gallery": None, **features}:
        count = len(dataset.split(split))
        check_rows(split, len(features.get(split, ())), count, count)
    if len({found.shape[1:] for found in features.values()}) > 1 or features["query"].ndim != 2:
        shapes = ", ".join(f"{split} {found.shape}" for split, found in features.items())
        raise InputError(f"Features are rows of equally many numbers in all splits, not {shapes}.")
    query, gallery = [(dataset.split(split), features[split]) for split in ("query", "gallery")]
    settings = {"single_query": (query, gallery)}
    if "multi_query" in features:
        settings["multi_query"] = (pool_queries(dataset.split("multi_query"), features["multi_query"]), gallery)
    if tracks := track_to_track(query, gallery, branches):
        settings["tracks"] = tracks
    results: Results = {}
    for setting, images in settings.items():
        results[setting] = {}
        for part in parts_of(branches):
            queries, searched = ((rows, feature_part(found, part, branches)) for rows, found in images)
            results[setting][part] = _measure(queries, searched, dataset.single_shot, seed, distances)
    return results


def pool_queries(rows: pd.DataFrame, features: Features) -> tuple[pd.DataFrame, Features]:
    """Multi-query: one query for each identity and camera, the mean of all its features, not normalised.

    Args:
        rows: table of the images; columns `pid` and `camid`.
        features: `(len(rows), d)` float32 array.

    Returns:
        Table of the pooled queries, and their `(n, d)` float32 features.
    """
    groups = rows.groupby(["pid", "camid"], sort=True).indices
    pooled = np.stack([features[index].mean(axis=0) for index in groups.values()])
    return pd.DataFrame(list(groups), columns=["pid", "camid"]), pooled


def track_to_track(query: Images, gallery: Images, branches: Sequence[str] = BRANCHES) -> tuple[Images, Images] | None:
    """Query tracks and gallery tracks, to be ranked as images are (as MARS does).

    A track is a query if one of its images is, and in the gallery if one of its images is; it has the same feature in
    both, of all its images. An image without a track is one of its own.

    Args:
        query, gallery: tables of images and their features; columns `path`, `pid`, `camid` and perhaps `track`.
        branches: as in `pool_tracks`.

    Returns:
        The same of tracks; None if no track is known, or none has a match, the same identity under another camera.
    """
    rows = pd.concat([query[0], gallery[0]], ignore_index=True)
    if "track" not in rows or rows.track.isna().all():
        return None
    numbers = track_numbers(rows)
    counted = (~rows.path.duplicated() | rows.track.isna()).to_numpy()  # an image that is a query may be there twice
    features = np.concatenate([query[1], gallery[1]])[counted]
    pooled = pool_tracks(features, numbers[counted], branches)
    tracks = rows.groupby(numbers)[["pid", "camid"]].first()
    asked, searched = (np.unique(part) for part in np.split(numbers, [len(query[0])]))
    if not matched(tracks.loc[asked], tracks.loc[searched]).any():
        return None
    return (tracks.loc[asked], pooled[asked]), (tracks.loc[searched], pooled[searched])


def _measure(queries: Images, searched: Images, single_shot: bool, seed: int, distances: Distances) -> dict[str, Any]:
    (query, query_features), (gallery, gallery_features) = queries, searched
    if single_shot and len(query.merge(gallery, on=["pid", "camid"])):  # those that are drawn would be left out
        raise InputError("Single-shot needs a gallery without images of the queries' own cameras.")
    shots = _single_shots(gallery.pid.to_numpy(), seed) if single_shot else [slice(None)]  # no copy
    repeats = []
    for shot in shots:
        people = query.pid, gallery.pid.iloc[shot], query.camid, gallery.camid.iloc[shot]
        repeats.append(rank_matches(query_features, gallery_features[shot], *people, distances))
    # Repeats have the same queries: measures over all are the means over repeats.
    joined = {name: np.concatenate([getattr(m, name) for m in repeats]) for name in ("ranks", "counts", "queries")}
    matches = Matches(**joined, unmatched=repeats[0].unmatched)
    cmc = (100 * matches.cmc(range(1, CMC_LENGTH + 1))).tolist()
    thresholds = _thresholds(queries, searched, seed) if distances is half_distances else {}
    return {
        **{f"rank{k}": cmc[k - 1] for k in CMC_RANKS},
        "cmc": cmc,
        "mAP": 100 * matches.mean_average_precision(),
        "mAP_trapezoid": 100 * matches.mean_average_precision(trapezoid=True),
        "mINP": 100 * matches.mean_inverse_negative_penalty(),
        "queries": len(matches.counts) // len(shots),
        "unmatched": matches.unmatched,
        **thresholds,
    }


def _thresholds(queries: Images, searched: Images, seed: int) -> dict[str, Any]:
    (query, query_features), (gallery, gallery_features) = queries, searched
    camids = query.camid, gallery.camid
    pairs = functools.partial(compared_pairs, query_features, gallery_features, query.pid)
    open_set = identify(pairs(without_half(query.pid, gallery.pid, seed), *camids))
    return {"verification": verify(lambda: pairs(gallery.pid, *camids)).results(), "open_set": open_set.results()}


def _single_shots(pids: Integers, seed: int) -> list[Integers]:
    """Index arrays, one a repeat: one random gallery image of every identity."""
    rng = np.random.default_rng(seed)
    images_of = [np.flatnonzero(pids == pid) for pid in np.unique(pids)]
    return [np.array([rng.choice(images) for images in images_of]) for _ in range(SINGLE_SHOT_REPEATS)]


def results_table(results: Results) -> str:
    """The measures as people compare them, one line a setting and feature, in percent.

    Args:
        results: of `evaluate_features`.

    Returns:
        Text of several lines.
    """
    columns = {**{f"rank{k}": f"Rank-{k}" for k in CMC_RANKS}, "mAP": "mAP", "mINP": "mINP"}
    toolkit = "mAP (trapezoid)"
    lines = [f"{'':<14}{'feature':<9}{''.join(f'{title:>9}' for title in columns.values())}{toolkit:>17}"]
    for setting, parts in results.items():
        for part, measures in parts.items():
            values = "".join(f"{measures[name]:>9.1f}" for name in columns)
            name = setting.replace("_", "-") if part == "joint" else ""
            lines.append(f"{name:<14}{part:<9}{values}{measures['mAP_trapezoid']:>17.1f}")
        left_out = parts["joint"]["unmatched"]
        if left_out:
            lines.append(f"Queries without a true match in the gallery, left out: {left_out}.")
    return "\n".join(lines)


def verification_table(results: Results) -> str:
    """What thresholds on the distance of the joint feature accept, in percent, with the thresholds.

    Args:
        results: of `evaluate_features`, with L2 distances.

    Returns:
        Text of several lines.
    """
    columns = "".join(f"{f'FAR {rate:g}%':>12}" for rate in SHOWN_RATES)
    lines = [f"{'':<14}{'joint feature':<17}{columns}{'EER':>9}"]
    for setting, parts in results.items():
        verification, open_set = (parts["joint"][name] for name in RATES)
        equal = _number(verification["eer"], 1), _number(verification["eer_threshold"], 3)
        rows = [
            ("TAR", verification, "tar", 1, equal[0]),
            ("distance below", verification, "threshold", 3, equal[1]),
            ("DIR", open_set, "dir", 1, ""),
            ("distance below", open_set, "threshold", 3, ""),
        ]
        name = setting.replace("_", "-")
        for title, measured, column, digits, last in rows:
            at = dict(zip(measured["far"], measured[column], strict=True))
            values = "".join(f"{_number(at[rate], digits):>12}" for rate in SHOWN_RATES)
            lines.append(f"{name:<14}{title:<17}{values}{last:>9}".rstrip())
            name = ""
        lines += [
            f"TAR: % of {verification['genuine']:,} pairs of one person that are accepted, where FAR of "
            f"{verification['impostors']:,} pairs of two are.",
            f"DIR: % of {open_set['mated']:,} queries found first and accepted, where FAR of {open_set['non_mated']:,} "
            "whose person is not there are.",
        ]
    return "\n".join(lines)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"

"""Features, ranking and protocols."""

from typing import TYPE_CHECKING

from hacnn_tf.utils.lazy import lazy

if TYPE_CHECKING:
    from hacnn_tf.evaluation.evaluator import TEST_SPLITS, Evaluator
    from hacnn_tf.evaluation.features import (
        PARTS,
        array_function,
        extract_features,
        feature_function,
        fingerprint,
        parts_of,
    )
    from hacnn_tf.evaluation.measures import CMC_LENGTH, MEASURES, RATES
    from hacnn_tf.evaluation.pairs import compared_pairs
    from hacnn_tf.evaluation.protocols import evaluate_features, results_table, verification_table
    from hacnn_tf.evaluation.ranking import Matches, rank_matches
    from hacnn_tf.evaluation.reranking import rerank
    from hacnn_tf.evaluation.tracks import pool_tracks
    from hacnn_tf.evaluation.verification import identify, verify

__all__ = [
    "CMC_LENGTH",
    "MEASURES",
    "PARTS",
    "RATES",
    "TEST_SPLITS",
    "Evaluator",
    "Matches",
    "array_function",
    "compared_pairs",
    "evaluate_features",
    "extract_features",
    "feature_function",
    "fingerprint",
    "identify",
    "parts_of",
    "pool_tracks",
    "rank_matches",
    "rerank",
    "results_table",
    "verification_table",
    "verify",
]
__getattr__, __dir__ = lazy(
    __name__,
    evaluator=["TEST_SPLITS", "Evaluator"],
    features=["PARTS", "array_function", "extract_features", "feature_function", "fingerprint", "parts_of"],
    measures=["CMC_LENGTH", "MEASURES", "RATES"],
    pairs=["compared_pairs"],
    protocols=["evaluate_features", "results_table", "verification_table"],
    ranking=["Matches", "rank_matches"],
    reranking=["rerank"],
    tracks=["pool_tracks"],
    verification=["identify", "verify"],
)

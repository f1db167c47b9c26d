"""Features, ranking and protocols."""

from typing import TYPE_CHECKING

from hacnn_tf.utils.lazy import lazy

if TYPE_CHECKING:
    from hacnn_tf.evaluation.evaluator import TEST_SPLITS, Evaluator
    from hacnn_tf.evaluation.features import PARTS, extract_features, feature_function, fingerprint, parts_of
    from hacnn_tf.evaluation.measures import CMC_LENGTH, MEASURES
    from hacnn_tf.evaluation.protocols import evaluate_features, results_table
    from hacnn_tf.evaluation.ranking import Matches, rank_matches
    from hacnn_tf.evaluation.reranking import rerank

__all__ = [
    "CMC_LENGTH",
    "MEASURES",
    "PARTS",
    "TEST_SPLITS",
    "Evaluator",
    "Matches",
    "evaluate_features",
    "extract_features",
    "feature_function",
    "fingerprint",
    "parts_of",
    "rank_matches",
    "rerank",
    "results_table",
]
__getattr__, __dir__ = lazy(
    __name__,
    CMC_LENGTH="measures",
    MEASURES="measures",
    PARTS="features",
    TEST_SPLITS="evaluator",
    Evaluator="evaluator",
    Matches="ranking",
    evaluate_features="protocols",
    extract_features="features",
    feature_function="features",
    fingerprint="features",
    parts_of="features",
    rank_matches="ranking",
    rerank="reranking",
    results_table="protocols",
)

"""Features, ranking and protocols."""

from hacnn_tf.evaluation.evaluator import TEST_SPLITS, Evaluator
from hacnn_tf.evaluation.features import PARTS, extract_features, feature_function, fingerprint, parts_of
from hacnn_tf.evaluation.protocols import CMC_LENGTH, MEASURES, evaluate_features, results_table
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

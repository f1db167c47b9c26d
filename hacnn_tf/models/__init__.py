"""HA-CNN as a Keras model, and counters of any Keras model's size. Keras only: they run under every Keras backend."""

from hacnn_tf.models.counting import count, kernel_calls
from hacnn_tf.models.hacnn import HACNN, INPUT_SIZE

__all__ = ["HACNN", "INPUT_SIZE", "count", "kernel_calls"]

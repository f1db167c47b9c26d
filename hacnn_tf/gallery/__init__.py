"""Features of pictures in a LanceDB table, and the pictures of a folder to put there."""

from hacnn_tf.gallery.database import EXACT_ROWS, Database

__all__ = ["EXACT_ROWS", "Database"]

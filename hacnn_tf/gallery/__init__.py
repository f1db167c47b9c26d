"""A database of features, a LanceDB table; its page, and who may look, did look, and for how long there is what."""

from typing import TYPE_CHECKING

from hacnn_tf.utils.lazy import lazy

if TYPE_CHECKING:
    from hacnn_tf.gallery.database import Database
    from hacnn_tf.gallery.tracks import search_tracks

__all__ = ["Database", "search_tracks"]
__getattr__, __dir__ = lazy(__name__, database=["Database"], tracks=["search_tracks"])

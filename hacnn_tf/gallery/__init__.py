"""Features of images in a LanceDB table, and the images of a folder to put there."""

from typing import TYPE_CHECKING

from hacnn_tf.utils.lazy import lazy

if TYPE_CHECKING:
    from hacnn_tf.gallery.database import Database

__all__ = ["Database"]
__getattr__, __dir__ = lazy(__name__, database=["Database"])

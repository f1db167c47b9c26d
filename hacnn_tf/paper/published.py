"""The paper's own numbers: `experiments/published/*.csv`, one file a table, as printed."""

from pathlib import Path

import pandas as pd

import hacnn_tf
from hacnn_tf.errors import InputError

FOLDER = Path(hacnn_tf.__file__).parents[1] / "experiments" / "published"


def read_published(name):
    """A table of the paper, every cell as the text it is printed as.

    Args:
        name: "table1" to "table8".

    Returns:
        `pandas.DataFrame` of str; the index is the table's first column.

    Raises:
        InputError: hacnn_tf does not run from a checkout, which holds these files.
    """
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        raise InputError(f"{path} is missing: the paper's numbers come with a checkout of hacnn_tf; run it from one.")
    return pd.read_csv(path, dtype=str, keep_default_na=False, index_col=0)


def number(text):
    """A printed cell as a float; NaN for "-", where the paper has no figure."""
    return float("nan") if text == "-" else float(text.replace(",", ""))

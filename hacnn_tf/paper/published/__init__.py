"""The paper's own numbers: the .csv files beside this one, one a table, as printed."""

from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent


def read_published(name: str) -> pd.DataFrame:
    """A table of the paper, every cell as the text it is printed as.

    Args:
        name: "table1" to "table8".

    Returns:
        `pandas.DataFrame` of str; the index is the table's first column.
    """
    return pd.read_csv(FOLDER / f"{name}.csv", dtype=str, keep_default_na=False, index_col=0)


def number(text: str) -> float:
    """A printed cell as a float; NaN for "-", where the paper has no figure."""
    return float("nan") if text == "-" else float(text.replace(",", ""))

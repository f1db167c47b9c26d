"""The committed numbers of the paper, against its text where that is at hand."""

import re

import pytest

from hacnn_tf.paper.published import FOLDER, number, read_published
from tests.conftest import SHARED

PAPER = SHARED.parent / "paper.txt"
SHAPES = {1: (3, 5), 2: (14, 4), 3: (8, 2), 4: (9, 4), 5: (6, 4), 6: (2, 4), 7: (3, 4), 8: (6, 3)}


@pytest.mark.parametrize("table", range(1, 9))
def test_every_row_stands_in_the_paper(table):
    if not PAPER.exists():
        pytest.skip("the paper's text is not beside this checkout")
    text = re.split(rf"\nTable {table}\. ", PAPER.read_text())[1][:1200]
    lines = [re.sub(r"\s", "", line) for line in text.splitlines()]
    published = read_published(f"table{table}")
    for name, row in published.iterrows():
        cells = [re.sub(r"e(\d+)$", r"×10\1", cell) for cell in row]
        assert re.sub(r"\s", "", name + "".join(cells)) in lines


@pytest.mark.parametrize("table", range(1, 9))
def test_no_row_or_column_is_missing(table):
    assert read_published(f"table{table}").shape == SHAPES[table]


def test_numbers():
    assert number("14,097") == 14097
    assert number("7.25e8") == 7.25e8
    assert number("-") != number("-")  # NaN
    assert len(list(FOLDER.glob("*.csv"))) == 8

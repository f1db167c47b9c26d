"""The notebook: it runs from top to bottom, and what it shows is committed with it."""

import re
from pathlib import Path

import pytest

from hacnn_tf.data.synthetic import make_synthetic
from tests.conftest import renumber

nbformat = pytest.importorskip("nbformat", reason="needs the extra notebook")
NOTEBOOK = Path("examples/tour.ipynb")


@pytest.fixture
def tour():
    return nbformat.read(NOTEBOOK, 4)


def test_its_outputs_are_there_and_no_errors(tour):
    nbformat.validate(tour)
    code = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs for cell in code)
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert kinds <= {"stream", "execute_result", "display_data"}


def test_it_shows_nothing_but_what_it_printed(tour):
    """No path of the machine that made it, no progress bar, no library's complaints."""
    for cell in tour.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr"
            text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
            assert "\r" not in text and not re.search(r"/(home|root|Users|tmp)/", text)
    assert NOTEBOOK.stat().st_size < 1.2e6


SMALL = """
from hacnn_tf.data import synthetic
from hacnn_tf.data.dataset import Counts

synthetic.COUNTS = dict.fromkeys(synthetic.COUNTS, Counts())
print("of a small dataset")
"""


@pytest.mark.slow
def test_it_runs(tour, tmp_path):
    """On 16 of the people, the one among them that it searches for."""
    client = pytest.importorskip("nbclient", reason="needs the extra notebook")
    (tmp_path / "examples").mkdir()
    make_synthetic(tmp_path / "data/synthetic", identities=(8, 8))
    renumber(tmp_path / "data/synthetic", 237 - 9)
    tour.cells.insert(0, nbformat.v4.new_code_cell(SMALL, outputs=[nbformat.v4.new_output("stream", text="")]))
    shown = [len(cell.get("outputs", [])) > 0 for cell in tour.cells]
    resources = {"metadata": {"path": str(tmp_path / "examples")}}
    client.NotebookClient(tour, timeout=1800, kernel_name="python3", resources=resources).execute()
    assert [len(cell.get("outputs", [])) > 0 for cell in tour.cells] == shown
    assert (tmp_path / "runs/tour/metrics.json").exists() and (tmp_path / "databases/tour.lance").exists()

"""What a training says of itself where something else goes wrong as well."""

from types import SimpleNamespace

import pandas as pd

from hacnn_tf.training.record import Record
from hacnn_tf.utils.errors import InputError
from tests.paper.runs import make_run


def test_a_loss_that_is_not_finite_is_said_on_a_full_disk_too(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", 60, finished=False)
    record = Record(run, None, "tested")
    record._state = SimpleNamespace(step=2, epoch=0)
    batch = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "pid": [1, 2]})
    listed = f"The batch: a.jpg, b.jpg, all of them in {run.path / 'not_finite.csv'}."
    assert record.report_not_finite(batch, None).endswith(listed)

    def full(_):
        raise InputError("Cannot write")

    monkeypatch.setattr(run, "write_not_finite", full)
    said = record.report_not_finite(batch, None)
    assert "is not finite after step 2 of epoch 1" in said and said.endswith("The batch: a.jpg, b.jpg.")

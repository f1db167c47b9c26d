"""The search for the recipe: its variants are trainings that can be started, and its readings change the network."""

import json
import subprocess
import sys

import pytest

from experiments.studies import recipe_search
from hacnn_tf import train
from hacnn_tf.training.settings import FLAGS, Settings
from hacnn_tf.utils.cli import parse
from tests.paper.runs import make_run

CHANGED = """
import json
from experiments.studies.recipe_search import READINGS

for change in READINGS.values():
    change()

from hacnn_tf.models import HACNN
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.loop import UNDECAYED, make_optimizer

model = HACNN(3, widths=(16, 32, 48), feature_dim=24)
stem = model.get_layer("stem")
print(json.dumps({
    "norm": [stem.norm.momentum, stem.norm.epsilon],
    "initializer": type(stem.conv.kernel_initializer).__name__,
    "region": model.get_layer("level3_regions").size,
    "local": type(model.get_layer("level2_local_inception_b")).__qualname__.partition(".")[0],
    "epsilon": make_optimizer(RECIPES["adamw"], 10).epsilon,
    "undecayed": UNDECAYED,
}))
"""


@pytest.mark.parametrize("name", recipe_search.VARIANTS)
def test_variants_are_trainings_without_the_test_set(name):
    flags, reading = recipe_search.VARIANTS[name]
    typed = parse(train.COMMAND.values, ["train", *recipe_search.COMMON, *flags.split()])
    settings = Settings.from_flags({flag: typed[flag].value for flag in FLAGS})
    assert settings.validation == 384
    assert reading is None or reading in recipe_search.READINGS


def test_readings_change_the_network():
    done = subprocess.run([sys.executable, "-c", CHANGED], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    expected = {"norm": [0.99, 1e-3], "initializer": "GlorotUniform", "region": [5, 8], "epsilon": 1e-4}
    assert found == expected | {"undecayed": ["hard_attention/"], "local": "change_region_norm"}


def test_the_table_has_a_line_for_each_finished_training(tmp_path):
    run = make_run(tmp_path / "step-seed3", 40, seed=3)
    make_run(tmp_path / "cosine-seed0", 50, finished=False)
    run.write_rows("log", [{"epoch": 4, "step": 9, "global_loss": 1.5, "local_loss": 0.25, "identity_accuracy": 1}])
    parts = {"joint": 40.04, "global": 30.0, "local": 20.0}
    values = {
        f"{part}_{what}": value / (what == "mAP" or 0.5) for part, value in parts.items() for what in ("rank1", "mAP")
    }
    run.write_rows("evaluations", [{"epoch": 4} | values])
    (line,) = recipe_search.table(tmp_path).splitlines()[2:]
    assert line.startswith("| step | 3 | 80.1/40.0 | 60.0/30.0 | 40.0/20.0 | 1.50/0.25 | ")

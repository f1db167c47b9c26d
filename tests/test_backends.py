"""PyTorch and JAX beside TensorFlow, each in a process of its own, where there is no TensorFlow."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf import ReID
from hacnn_tf.data.decode import read_image
from hacnn_tf.models import HACNN
from hacnn_tf.training.losses import branch_losses
from hacnn_tf.training.recipes import RECIPES

pytestmark = pytest.mark.slow
PRESET = "hacnn_cuhk03_detected"
RECIPE = RECIPES["strong"].replaced(batch_identities=4, triplet=1.0)  # the only one that reads features too
GRADIENT = "gradient of "
LABELS = np.repeat(np.arange(4, dtype=np.int32), 2)
WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "tensorflow" else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""


def run(backend, script, *args):
    """What a script prints in a process where Keras is set to a backend and TensorFlow is not installed."""
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW + script, *map(str, args)]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module", params=["torch", "jax"])
def backend(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture(scope="module")
def images(small_data_root):
    return sorted(small_data_root.glob("synthetic/detected/query/*.jpg"))


OPENED = """
import json
import numpy as np
from concurrent.futures import ThreadPoolExecutor
from hacnn_tf import ReID

out, preset, *places = sys.argv[1:5]
paths = sys.argv[5:]
models = {str(i): ReID.from_preset(place) for i, place in enumerate([preset, *places])}
np.savez(f"{out}/features.npz", **{name: model.embed(paths) for name, model in models.items()})
model = models["0"]
with ThreadPoolExecutor(4) as pool:  # of other numbers of images than before, too
    each = [*pool.map(lambda path: model.embed(path)[0], paths)]
np.save(f"{out}/each.npy", each)
half = ReID.from_preset(preset, "mixed_bfloat16")
np.save(f"{out}/half.npy", half.embed(paths))
model.save_to_preset(f"{out}/saved")
print(json.dumps([model.fingerprint for model in models.values()]))
"""


@pytest.fixture(scope="module")
def opened(backend, small_run, exported, images, tmp_path_factory):
    """The folder in which another backend left what it made of a preset, a run folder and a Keras file, and those."""
    folder = tmp_path_factory.mktemp(backend)
    places = [PRESET, small_run, exported / "hacnn.keras"]
    (folder / "fingerprints.json").write_text(run(backend, OPENED, folder, *places, *images))
    return folder, [ReID.from_preset(place) for place in places]


def test_features_of_whatever_is_opened_are_the_same(opened, images):
    folder, models = opened
    assert json.loads((folder / "fingerprints.json").read_text()) == [model.fingerprint for model in models]
    with np.load(folder / "features.npz") as found:
        for name, model in zip(found, models, strict=True):
            assert found[name].dtype == np.float32
            np.testing.assert_allclose(found[name], model.embed(images), atol=1e-5)


def test_threads_share_a_model_and_images_come_in_any_number(opened):
    folder, _ = opened
    with np.load(folder / "features.npz") as found:
        np.testing.assert_allclose(np.load(folder / "each.npy"), found["0"], atol=1e-5)


def test_half_precision_is_near(opened):
    folder, _ = opened
    with np.load(folder / "features.npz") as found:
        difference = np.abs(np.load(folder / "half.npy") - found["0"]).max()
    assert 1e-5 < difference < 0.1


def test_a_preset_that_it_saves_is_the_same(opened, images):
    folder, (model, *_) = opened
    saved = ReID.from_preset(folder / "saved")
    assert saved.fingerprint == model.fingerprint
    np.testing.assert_array_equal(saved.embed(images), model.embed(images))


STEP = """
import keras, numpy as np
import hacnn_tf.models
from hacnn_tf.training.losses import branch_losses
from hacnn_tf.training.recipes import RECIPES

with np.load("given.npz") as given:
    images, labels = given["images"], keras.ops.convert_to_tensor(given["labels"])
model = keras.saving.load_model("model.keras")
network = keras.Model(model.inputs[0], [model.output, model.feature_extractor().output])
recipe = RECIPES["strong"].replaced(batch_identities=4, triplet=1.0)

def loss_of(outputs):
    return sum(branch_losses(labels, *outputs, recipe).values())

if keras.backend.backend() == "torch":
    loss = loss_of(network(images, training=True))
    loss.backward()
    gradients = [v.value.grad for v in model.trainable_variables]
    moved = [v.value for v in model.non_trainable_variables]
else:
    import jax
    def loss_and_moved(trainable):
        values = [v.value for v in network.non_trainable_variables]
        outputs, moved = network.stateless_call(trainable, values, images, training=True)
        return loss_of(outputs), moved
    values = [v.value for v in network.trainable_variables]
    (loss, moved), gradients = jax.value_and_grad(loss_and_moved, has_aux=True)(values)
arrays = map(keras.ops.convert_to_numpy, [loss, *gradients, *moved])
np.savez("found.npz", **{str(i): array for i, array in enumerate(arrays)})
"""


@pytest.fixture(scope="module")
def step(images, tmp_path_factory):
    """A folder with a small network and a batch, and what TensorFlow makes of them: the loss, the gradient of each
    weight, and the averages of the batch norms after the step."""
    folder, rng = tmp_path_factory.mktemp("step"), np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = HACNN(4, widths=(16, 32, 48), feature_dim=24, input_size=(80, 32))
    # As after a training. Fresh ones put what is constant on the kink of a ReLU, where the last bit decides.
    for variable in model.trainable_variables:
        if "norm" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif "translation/kernel" in variable.path:
            variable.assign(rng.normal(0, 0.3, variable.shape))
    model.save(folder / "model.keras")
    images = np.stack([read_image(path, (80, 32)) for path in images[::2]])
    np.savez(folder / "given.npz", images=images, labels=LABELS)
    network = keras.Model(model.inputs[0], [model.output, model.feature_extractor().output])
    with tf.GradientTape() as tape:
        losses = branch_losses(LABELS, *network(images, training=True), RECIPE)
        loss = tf.add_n([*losses.values()])
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    names = [
        "loss",
        *(GRADIENT + v.path for v in model.trainable_variables),
        *(v.path for v in model.non_trainable_variables),
    ]
    values = [loss, *gradients, *(v.value for v in model.non_trainable_variables)]
    return folder, dict(zip(names, map(np.asarray, values), strict=True))


def test_a_training_step_has_the_same_gradients(backend, step):
    """And the same loss, and the same averages of its batch norms.

    Those to the last digits; the gradients in all, as a sum in another order puts a number here and there on the other
    side of a ReLU's kink. Images changed by a millionth do that too, and move the stem's gradient by 0.6%.
    """
    folder, expected = step
    script = f"import os; os.chdir({str(folder)!r})\n{STEP}"
    run(backend, script)
    with np.load(folder / "found.npz") as found:
        for (name, values), key in zip(expected.items(), found.files, strict=True):
            if name.startswith(GRADIENT):
                assert np.linalg.norm(found[key] - values) < 0.05 * np.linalg.norm(values) + 1e-4, name
            else:
                np.testing.assert_allclose(found[key], values, rtol=1e-4, atol=1e-4, err_msg=name)


INDEXED = """
from hacnn_tf import index, search

model, folder, query, people, page = sys.argv[1:]
index.COMMAND.run(index.main, ["index", "--model", model, "--images", folder, "--database", people])
search.COMMAND.run(search.main, ["search", "--database", people, "--query", query, "--top", "1", "--html", page])
"""


def test_images_are_indexed_and_found(backend, images, tmp_path):
    """By the same weights as TensorFlow, which searches the database on."""
    pytest.importorskip("lancedb")
    from hacnn_tf.gallery import Database

    query = images[0]
    said = run(backend, INDEXED, PRESET, query.parent, query, tmp_path / "people.lance", tmp_path / "found.html")
    assert f"{len(images)} added" in said and str(query) in said
    database = Database(tmp_path / "people.lance")
    (found,) = database.search(database.load_model().embed(query), top=1)
    assert found.path[0] == str(query) and found.distance[0] < 1e-3


SEEN = """
import numpy as np
from hacnn_tf import ReID
from hacnn_tf.evaluation.drawing import attention_of

model = ReID.from_preset(sys.argv[1])
print(attention_of(model.network, np.zeros((2, 160, 64, 3), np.uint8)).size)
"""


def test_attention_is_drawn(backend):
    pytest.importorskip("matplotlib")
    width, height = map(int, run(backend, SEEN, PRESET).strip("()\n").split(","))
    assert width > 7 * 128 and height > 2 * 320


REFUSED = """
from hacnn_tf import evaluate, train
from hacnn_tf.export import __main__ as export

run, data, new = sys.argv[1:]
for module, *args in (
    (train, "--data_root", data, "--run_dir", new),
    (evaluate, "--run_dir", run, "--data_root", data),
    (export, "--run_dir", run, "--output", new, "--format", "onnx"),
):
    try: module.COMMAND.run(module.main, [module.COMMAND.name, *args])
    except SystemExit as error: print(error)
"""


@pytest.mark.parametrize("script", [REFUSED, WITHOUT_TENSORFLOW + REFUSED], ids=["other backend", "not installed"])
def test_what_needs_tensorflow_says_so_before_anything_is_made(script, small_run, tmp_path):
    places = small_run, tmp_path / "data", tmp_path / "new"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", f"import sys\n{script}", *map(str, places)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True).stdout.splitlines()
    missing = "tensorflow is not installed: pip install tensorflow"
    other = "This needs TensorFlow, and Keras is set to jax: set KERAS_BACKEND=tensorflow."
    assert len(said) == 3 and all((missing if "Finder" in script else other) in line for line in said), said
    assert not list(tmp_path.iterdir())


def test_who_has_no_tensorflow_is_told_of_the_others():
    script = "import hacnn_tf\ntry: hacnn_tf.ReID.from_preset(sys.argv[1])\nexcept hacnn_tf.InputError as e: print(e)"
    said = run("tensorflow", script, PRESET)
    assert said.startswith("tensorflow is not installed: pip install tensorflow, or set KERAS_BACKEND to torch or jax")

"""Our side of the comparison. `compare.py` asks it.

    python ours.py RUN_DIR DATA_ROOT

RUN_DIR is a finished training on the synthetic dataset.
"""

import base64
import functools
import itertools
import os
import sys
import tempfile

os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # the peer needs the card's memory too

import numpy as np
import tensorflow as tf
from worker import seconds, serve, warmed

from hacnn_tf.data import read_dataset
from hacnn_tf.data.load import load_images, load_splits
from hacnn_tf.data.pipeline import steps_per_epoch, training_batches
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, evaluate_features, feature_function
from hacnn_tf.evaluation.ranking import rank_matches
from hacnn_tf.export import FORMATS, WEIGHT_PRECISIONS, export_model, load_export
from hacnn_tf.export.__main__ import calibration_images
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.models.counting import count, kernel_calls
from hacnn_tf.reid import BATCH, ReID
from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import Settings
from hacnn_tf.training.step import make_train_step

RUN_DIR, DATA_ROOT = sys.argv[1:]
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
IDENTITIES = 767
RNG = np.random.default_rng(0)
EXPORTED = tempfile.TemporaryDirectory()  # gone when this process ends


@functools.cache
def trained(precision):
    return RunFolder(RUN_DIR).load_model(POLICIES[precision])[0]


@functools.cache
def train_step(precision, xla, tf32):
    """A function of its own for each mode, as what was compiled keeps its mode."""
    recipe = RECIPES["adamw"]
    model = Settings(precision=POLICIES[precision]).build_model(IDENTITIES)
    optimizer = make_optimizer(recipe, steps=150)
    optimizer.build(model.trainable_variables)
    return make_train_step(model, optimizer, recipe, xla)


@functools.cache
def extractor(precision, xla, tf32):
    return tf.function(feature_function(trained(precision)), jit_compile=xla, autograph=False)


@functools.cache
def batch(size):
    images = RNG.integers(0, 256, (size, *INPUT_SIZE, 3), np.uint8)
    return tf.constant(images), tf.constant(RNG.integers(0, IDENTITIES, size), tf.int32)


@functools.cache
def stepper(size, precision, xla, tf32):
    """A training step on a batch, traced and compiled."""
    step = train_step(precision, xla, tf32)
    return warmed(lambda: step(*batch(size)).numpy())


@functools.cache
def extraction(size, precision, xla, tf32):
    """The extraction of a batch, traced and compiled."""
    function = extractor(precision, xla, tf32)
    return warmed(lambda: function(batch(size)[0]).numpy())


def train(size, precision, repeats, xla=False, tf32=False):
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    return {"per_second": size / seconds(stepper(size, precision, xla, tf32), repeats)}


def extract(size, precision, repeats, xla=False, tf32=False):
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    return {"per_second": size / seconds(extraction(size, precision, xla, tf32), repeats)}


@functools.cache
def exported():
    folder = f"{EXPORTED.name}/default"
    export_model(trained("float32"), folder)
    return tf.saved_model.load(f"{folder}/saved_model").signatures["encoded"]


@functools.cache
def export(form, precision):
    """The trained network in a format, opened. OpenVINO computes its float32 file in bfloat16, if told to."""
    hint = precision if form == "openvino" and precision not in WEIGHT_PRECISIONS else None
    written = "float32" if hint else precision
    folder = f"{EXPORTED.name}/{form}-{precision}"
    images = calibration_images(run_dataset().split("train").path.tolist(), INPUT_SIZE) if written == "int8" else None
    export_model(trained("float32"), folder, [form], written, images)
    return load_export(f"{folder}/{FORMATS[form].FILE}", hint)


def extract_export(form, precision, size, repeats):
    extract, images = export(form, precision).extract, batch(size)[0].numpy()
    return {"per_second": size / seconds(warmed(lambda: extract(images)), repeats)}


@functools.cache
def other_onnx(path):
    """Another's ONNX file, of float images of channels first, opened."""
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def extract_file(path, size, repeats):
    session = other_onnx(path)
    (given,) = session.get_inputs()
    images = RNG.random((size, *given.shape[1:]), np.float32)
    return {"per_second": size / seconds(warmed(lambda: session.run(None, {given.name: images})), repeats)}


@functools.cache
def reid(form):
    return ReID(form, export(form, "float32"))


def embed(form, encoded, repeats):
    content, model = base64.b64decode(encoded), reid(form)
    return {"seconds": seconds(warmed(lambda: model.embed(content)), repeats)}


@functools.cache
def run_dataset():
    return RunFolder(RUN_DIR).settings.read_dataset(DATA_ROOT)


@functools.cache
def test_images():
    return load_splits(run_dataset(), TEST_SPLITS, INPUT_SIZE)


def folder(decode):
    """The gallery's files to features, or its pixels."""
    model, pixels, paths = reid("onnx"), test_images()["gallery"], list(run_dataset().split("gallery").path)

    def work():
        if decode:
            model.embed(paths)
        else:
            for start in range(0, len(pixels), BATCH):
                model.extract(pixels[start : start + BATCH])

    return {"per_second": len(pixels) / seconds(work, 1)}


def accuracy_export(form, precision):
    return joint_accuracy(export(form, precision).extract)


def joint_accuracy(extract):
    """Rank-1 and mAP of the joint feature on the run's test images, in percent."""
    dataset = run_dataset()
    results = evaluate_features(dataset, Evaluator(dataset, test_images()).features(extract))
    joint = results["single_query"]["joint"]
    return {"dataset": dataset.name, "rank1": joint["rank1"], "mAP": joint["mAP"]}


def jpeg():
    with open(run_dataset().split("query").path[0], "rb") as file:
        return {"encoded": base64.b64encode(file.read()).decode()}


def latency(encoded, repeats):
    content, network = base64.b64decode(encoded), exported()
    feature = warmed(lambda: network(encoded=tf.constant([content]))["features"].numpy())
    return {"seconds": seconds(feature, repeats)}


@functools.cache
def accuracy(precision):
    return joint_accuracy(extractor(precision, xla=False, tf32=False))


def make_features(path, queries, gallery, identities, junk, distractors, cameras=6):
    """Writes features that rank about as a trained network's do: an identity's share and each image's own."""
    pids = RNG.integers(1, identities + 1, queries + gallery)
    pids[queries : queries + junk] = -1
    pids[queries + junk : queries + junk + distractors] = identities + 1 + np.arange(distractors)
    centres = RNG.standard_normal((identities + distractors + 2, 1024), np.float32)
    blur = np.sqrt(RNG.uniform(3, 18, (len(pids), 1))).astype(np.float32)
    features = centres[pids] + blur * RNG.standard_normal((len(pids), 1024), np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    camids = RNG.integers(1, cameras + 1, len(pids))
    arrays = {"features": features, "pids": pids, "camids": camids}
    names = {"features": "", "pids": "_pids", "camids": "_camids"}
    np.savez(
        path,
        **{f"query{names[k]}": v[:queries] for k, v in arrays.items()},
        **{f"gallery{names[k]}": v[queries:] for k, v in arrays.items()},
    )
    return {}


@functools.cache
def ranking_case(path):
    with np.load(path) as arrays:
        return [arrays[f"{side}{name}"] for name in ("", "_pids", "_camids") for side in ("query", "gallery")]


def ranking(path):
    case, measures = ranking_case(path), {}

    def work():
        matches = rank_matches(*case)
        measures.update(rank1=100 * matches.cmc([1])[0], mAP=100 * matches.mean_average_precision())

    return {"seconds": seconds(work, 1), **measures}


def product(path):
    query, gallery, *_ = ranking_case(path)
    return {"seconds": seconds(lambda: query @ gallery.T, 1)}


@functools.cache
def training_images():
    rows = read_dataset("synthetic", DATA_ROOT).split("train")
    return load_images(rows.path, INPUT_SIZE), np.unique(rows.pid, return_inverse=True)[1], rows.path


def batches(size):
    """Batches of an epoch from the second on, and how many bytes this process read from disks meanwhile."""
    images, labels, _ = training_images()
    before = read_bytes()
    epochs = itertools.count(2)

    def epoch():
        for _ in training_batches(images, labels, size, RECIPES["paper"], seed=0, epoch=next(epochs)):
            pass

    rate = steps_per_epoch(len(images), size) * size / seconds(epoch, 3)
    return {"per_second": rate, "read_bytes": read_bytes() - before}


def read_bytes():
    with open("/proc/self/io") as file:
        return int(dict(line.split(": ") for line in file)["read_bytes"])


def decode():
    paths = training_images()[2]
    return {"per_second": len(paths) / seconds(lambda: load_images(paths, INPUT_SIZE), 1)}


def sgemm(size, repeats, precision, tf32):
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    a, b = (tf.cast(tf.random.uniform((size, size)), precision) for _ in range(2))
    (a @ b).numpy()
    return {"gflops": 2 * size**3 / seconds(lambda: (a @ b)[0, 0].numpy(), repeats) / 1e9}


def bandwidth(repeats):
    """Bytes read and written a second by a copy of 256 MiB in memory, in GB/s."""
    source = np.ones(2**26, np.float32)
    target = np.empty_like(source)
    return {"gbytes": 2 * source.nbytes / seconds(lambda: np.copyto(target, source), repeats) / 1e9}


def machine():
    macs = count(kernel_calls(trained("float32").feature_extractor()))["macs"]
    devices = [device.name for device in tf.config.list_logical_devices("GPU")] or ["CPU"]
    return {
        "tensorflow": tf.__version__,
        "cores": len(os.sched_getaffinity(0)),
        "device": ", ".join(devices),
        "macs": macs,
    }


WORKS = [train, extract, jpeg, latency, accuracy, make_features, ranking, product, batches, decode, sgemm, bandwidth]
EXPORTS = [extract_export, extract_file, embed, folder, accuracy_export]
if __name__ == "__main__":
    serve({f.__name__: f for f in (*WORKS, *EXPORTS, machine)})

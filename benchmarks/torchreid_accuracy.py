"""How well does torchreid's HACNN or OSNet learn by our recipe? Trains it as a run of ours was, and tests both alike.

    python benchmarks/torchreid_accuracy.py --run_dir RUN --data_root DATA \
        --peer_python .venv-peers/bin/python --torchreid .venv-peers/torchreid-0.2.5 \
        [--network osnet_x0_25 [--height 256 --width 128]]

`benchmarks/run.sh` makes the peers' environment. RUN may be a record of experiments/measured. The peer sees the run's
batches, as this revision decodes them (or resized from the same images to another height and width), in its order, at
its learning rates, with its weight decay of the same parts and its label smoothing; its initial weights are its own, of
the run's seed. In bfloat16, as autocast has it, if the run was in mixed_bfloat16. Interrupted, the same command goes on
after the last whole epoch.

OSNet has one branch, and so one loss and one feature, which is compared by L2 distance as torchreid does. It begins
with random weights too: torchreid would load those of ImageNet.
"""

import tempfile
from pathlib import Path

import numpy as np
from worker import Worker

from hacnn_tf.data.decode import DECODER_VERSION
from hacnn_tf.data.load import load_splits
from hacnn_tf.data.pipeline import steps_per_epoch, training_batches
from hacnn_tf.evaluation import TEST_SPLITS, evaluate_features
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.paper.table import parts_table
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.schedule import Schedule
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import write_json, write_npz
from hacnn_tf.utils.types import BRANCHES

NETWORKS = {"hacnn": BRANCHES, "osnet_x1_0": BRANCHES[:1], "osnet_x0_25": BRANCHES[:1]}

COMMAND = cli.Command(__doc__, "torchreid_accuracy")
COMMAND.group("Comparison")
COMMAND.define("path", "run_dir", None, "the run whose recipe, seed and data the peer takes")
COMMAND.define("path", "data_root", "data", "folder that holds its dataset")
COMMAND.define("path", "peer_python", None, "interpreter of the peers' environment")
COMMAND.define("path", "torchreid", None, "torchreid's unpacked source distribution")
COMMAND.define("enum", "network", "hacnn", "which of its networks", enum_values=list(NETWORKS))
COMMAND.define("integer", "height", INPUT_SIZE[0], "of its images, in pixels; its hacnn takes no others", lower_bound=1)
COMMAND.define("integer", "width", INPUT_SIZE[1], "of its images, in pixels", lower_bound=1)
COMMAND.define("path", "output", None, "folder for peer.pt and log.json; one in results/accuracy if not given")


def main(flags):
    cli.require(flags, "run_dir", "peer_python", "torchreid")
    run = RunFolder(flags.run_dir)
    settings = run.settings
    if settings.recipe.triplet:
        raise InputError(f"{run.path} was trained with a triplet loss, which the peer is not taught here.")
    if flags.network == "hacnn" and not settings.local:
        raise InputError(f"{run.path} was trained without the local branch, which the peer always has.")
    if settings.precision == "mixed_float16":
        raise InputError(f"{run.path} was trained in mixed_float16, in which the peer does not train here.")
    if any(code["pixels"] not in (None, DECODER_VERSION) for code in run.code):
        raise InputError(f"{run.path} was trained on images decoded otherwise than here: train it anew.")
    if any(code["pixels"] is None for code in run.code):
        print(f"{run.path} does not say how its images were decoded; another way than here is worth a point or two.")
    ours = run.read_metrics()
    dataset = run.read_dataset(flags.data_root)
    images = load_splits(dataset, ("train", *TEST_SPLITS), (flags.height, flags.width))
    name = f"{flags.network}-{flags.height}x{flags.width}"
    output = Path(flags.output or Path("results/accuracy") / f"{run.path.name}-{name}")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, open(output / "log.txt", "w") as log:
        worker = Worker(flags.peer_python, str(Path(__file__).parent / "peer.py"), flags.torchreid, log=log)
        peer = Peer(worker, run, flags.network)
        epochs = train(peer, run, dataset, images["train"], output, Path(folder))
        results = evaluate_features(dataset, peer.features(images, Path(folder)), branches=NETWORKS[flags.network])
        peer.close()
    print(parts_table({run.path.name: ours, f"torchreid's {name}": results}))
    write_json(output / "log.json", {"epochs": epochs, "results": results})


class Peer:
    """A network of the other side, of as many identities as a run's, and with its seed, weight decay and precision."""

    def __init__(self, worker, run, name):
        recipe, precision = run.settings.recipe, run.settings.precision
        self._worker = worker
        self._network = {
            "identities": run.num_identities,
            "weight_decay": recipe.weight_decay,
            "seed": run.settings.seed,
            "name": name,
        }
        self._training = {**run.settings.to_flags(), "images": run.trained}
        self._how = {"precision": precision.replace("mixed_", "")}
        self._smoothing = recipe.label_smoothing

    def learn(self, path):
        """Trains on the batches in a file, and gives the means of its losses and its speed."""
        return self._ask("learn", path=str(path), smoothing=self._smoothing, **self._how)

    def save(self, path, epochs):
        """Keeps its state, with what was said of each epoch until then."""
        self._ask("save", path=str(path), epochs=epochs, training=self._training)

    def restore(self, path):
        """Takes a state that was kept, and gives what was said of each epoch until then."""
        return self._ask("restore", path=str(path), training=self._training)["epochs"]

    def features(self, images, folder):
        """Dict from split to `(n, d)` float32 features of uint8 images."""
        found = {}
        for split in images.keys() & set(TEST_SPLITS):
            path = folder / f"{split}.npy"
            np.save(path, images[split])
            self._ask("embed", path=str(path), **self._how)
            found[split] = np.load(path)
        return found

    def close(self):
        self._worker.close()

    def _ask(self, work, **request):
        return self._worker.ask(work=work, network=self._network, **request)


def train(peer, run, dataset, images, output, folder):
    """Trains the peer as the run was, and gives what was said of each epoch; goes on with what `output` holds."""
    settings, labels = run.settings, np.unique(dataset.split("train").pid, return_inverse=True)[1]
    steps = steps_per_epoch(len(images), settings.batch_size)
    schedule = Schedule(settings.recipe, steps * settings.epochs)
    kept = output / "peer.pt"
    epochs = peer.restore(kept) if kept.exists() else []
    for epoch in range(len(epochs) + 1, settings.epochs + 1):
        batches = training_batches(images, labels, settings.batch_size, settings.recipe, settings.seed, epoch)
        x, y = (np.stack(arrays) for arrays in zip(*batches.as_numpy_iterator(), strict=True))
        rates = [float(schedule(step)) for step in range((epoch - 1) * steps, epoch * steps)]
        write_npz(folder / "epoch.npz", {"images": x, "labels": y.astype(np.int64), "rates": np.array(rates)})
        said = peer.learn(folder / "epoch.npz")
        told = " ".join(f"{what} {value:.4g}" for what, value in said.items())
        print(f"epoch {epoch}/{settings.epochs} {told}", flush=True)
        epochs.append(said)
        peer.save(kept, epochs)
    return epochs


if __name__ == "__main__":
    COMMAND.run(main)

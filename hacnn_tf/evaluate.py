"""Evaluates a trained run on its dataset's test images, or on its validation identities if it has some.

    python -m hacnn_tf.evaluate --run_dir runs/synthetic-detected-seed0
    python -m hacnn_tf.evaluate --run_dir runs/synthetic-detected-seed0 --dataset market1501   on another test set
    python -m hacnn_tf.evaluate --export exports/hacnn.onnx --dataset cuhk03                   an export of any format

Without --data_root, the dataset is read from where training found it. Prints CMC, mAP and mINP of the joint, global
and local features (joint and global alone without a local branch), for images and, if a manifest names them, tracks.
Then what a distance threshold on the joint feature accepts: TAR, the share of same-person pairs, at a FAR, the share of
different-person pairs; EER, where the share rejected of the former equals that accepted of the latter; and DIR, the
share of queries whose nearest image is right and accepted, at a FAR of queries whose person is not in the gallery (half
of the people are removed from it). – means too few to tell. See docs/protocols.md.

metrics.json in the run folder is updated if the run's own checkpoint was tested in its own precision after a whole
epoch, no earlier than the one it holds. --dataset tests on another dataset instead, even with --validation, and writes
metrics-DATASET.json, which no table reads; standard error says if the network is known to have been trained on people
of that test set, or if that is not known.
--rerank also prints the results after k-reciprocal re-ranking, which are not saved.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from absl.flags import FlagValues
from numpy.typing import NDArray

from hacnn_tf.data.dataset_options import DatasetOptions
from hacnn_tf.data.decode import DECODER_VERSION
from hacnn_tf.data.load import load_splits
from hacnn_tf.export import check_export
from hacnn_tf.preset import Kind, find_model
from hacnn_tf.reid import ReID
from hacnn_tf.training.code import code_revision
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import atomic_write, check_new_path, expanded, write_npz
from hacnn_tf.utils.options import options
from hacnn_tf.utils.startup import check_tensorflow, require_tensorflow
from hacnn_tf.utils.types import TEST_SPLITS, Features, Pixels, Results, Tensor

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset

COMMAND = cli.Command(__doc__, "hacnn_tf.evaluate")
COMMAND.group("Run")
COMMAND.define("path", "run_dir", None, "the run folder")
COMMAND.define(
    "path", "export", None, "evaluate this export or preset, of any format, on the run's dataset or on --dataset"
)
COMMAND.define("path", "features", None, "also write the features there, as .npz; must not exist yet")
COMMAND.define("path", "per_query", None, "also write what became of each query there, as .csv; must not exist yet")
COMMAND.define("boolean", "rerank", False, "also rank by k-reciprocal re-ranking (k1 = 20, k2 = 6, lambda = 0.3)")
COMMAND.group("Network")
COMMAND.define_precision()
COMMAND.define_dataset(DatasetOptions, default=None)
COMMAND.group("Dataset")
COMMAND.define("path", "cache_dir", None, "keep decoded images there, for datasets larger than memory")


class Tested(NamedTuple):
    """A network that is tested: what it is called, and how it makes features of images."""

    title: str
    function: Callable[[Pixels], Tensor]
    input_size: tuple[int, int]
    branches: tuple[str, ...]
    epoch: int = 0
    step: int = 0


def main(flags: FlagValues) -> None:
    asked = _asked(flags)
    _check(flags, asked)
    run = _find_run(flags.run_dir) if flags.run_dir else None
    _check_network(flags)
    dataset = _read_dataset(flags, asked, run)
    if asked:
        _tell_known(flags, dataset, asked)
    network = _network(flags, run)
    if asked:
        print(dataset.summary())

    from hacnn_tf.evaluation import Evaluator, evaluate_features, rerank, results_table, verification_table

    images = load_splits(dataset, TEST_SPLITS, network.input_size, flags.cache_dir)
    features = Evaluator(dataset, images).features(network.function)
    results = evaluate_features(dataset, features, branches=network.branches)
    title = f"{network.title}, trained on {run.dataset_name}, tested" if asked and run else network.title
    tested = f"a part of {dataset.name}" if asked and asked.allow_subset else dataset.name
    cli.print_line(f"{title} on {tested}:\n{results_table(results)}\n\n{verification_table(results)}")
    _write(flags, dataset, features)
    if flags.rerank:
        reranked = evaluate_features(dataset, features, distances=rerank, branches=network.branches)
        cli.print_line(f"After k-reciprocal re-ranking:\n{results_table(reranked)}")
    if run and not flags.export:
        _keep(flags, asked, run, network, dataset, results)


def _check(flags: FlagValues, asked: DatasetOptions | None) -> None:
    """Refuses flags that do not go together, and files that exist."""
    if not (flags.run_dir or (flags.export and asked)):
        raise InputError("--run_dir must be given, or --export with --dataset; --help lists the flags.")
    if flags.run_dir and flags.export and asked:
        raise InputError("--export on --dataset needs no run: leave --run_dir out.")
    if flags.features:
        check_new_path(flags.features, suffix=".npz")
    if flags.per_query:
        check_new_path(flags.per_query, suffix=".csv")


def _check_network(flags: FlagValues) -> None:
    """Refuses a network that cannot be opened, as far as that is known before TensorFlow is loaded."""
    if not flags.export:
        check_tensorflow()
    elif find_model(flags.export).kind is not Kind.PRESET:
        check_export(flags.export, flags.precision)


def _read_dataset(flags: FlagValues, asked: DatasetOptions | None, run: RunFolder | None) -> "ReidDataset":
    """The dataset that was asked for, or the run's own."""
    from hacnn_tf.data.read import read_options

    if asked:
        dataset = read_options(asked, flags.data_root)
    else:
        assert run, "one of them is required"
        dataset = run.read_dataset(_data_root(flags, run))
        _tell_changes(run, dataset)
    if flags.per_query and dataset.single_shot:
        raise InputError(f"--per_query needs one gallery, and that of {dataset.name} is drawn at random many times.")
    return dataset


def _network(flags: FlagValues, run: RunFolder | None) -> Tested:
    """The export that was asked for, or the run's newest checkpoint."""
    if flags.export or not run:
        model = ReID.from_preset(flags.export, flags.precision)
        return Tested(flags.export, model.extract, model.input_size, model.branches)
    code_revision()  # of the code that tests: at the end, other code may be checked out
    require_tensorflow()
    from hacnn_tf.evaluation import feature_function

    network, epoch, step = run.load_checkpoint(flags.precision)
    title = f"{run.path}, epoch {epoch} of {run.settings.epochs}{f' and {step} steps' if step else ''}"
    function = feature_function(network)  # once: XLA would compile for longer
    return Tested(title, function, network.input_shape[1:3], network.branches, epoch, step)


def _write(flags: FlagValues, dataset: "ReidDataset", features: Mapping[str, Features]) -> None:
    """Writes the features, and what became of each query, where that was asked for."""
    if flags.features:
        write_npz(flags.features, _arrays(dataset, features), private=True)
        cli.print_line(f"Features: {flags.features}")
    if flags.per_query:
        from hacnn_tf.evaluation.per_query import per_query

        with atomic_write(flags.per_query, private=True) as part:
            per_query(dataset, features).to_csv(part, index=False)
        cli.print_line(f"Queries: {flags.per_query}")


def _keep(
    flags: FlagValues,
    asked: DatasetOptions | None,
    run: RunFolder,
    network: Tested,
    dataset: "ReidDataset",
    results: Results,
) -> None:
    """Writes the results of a run's checkpoint into its folder, or says why not."""
    if flags.precision not in (None, run.settings.precision):
        print(f"Computed in {flags.precision}, and trained in {run.settings.precision}: the results are not kept.")
    elif network.step:
        print("This is a checkpoint from within an epoch: the results are not kept.")
    elif asked:
        print(f"Results: {run.write_other_metrics(dataset, asked, results, network.epoch)}")
    elif not run.write_metrics(results, network.epoch, dataset.fingerprint(TEST_SPLITS)):
        print("The training has been tested after a later epoch meanwhile: the results are not kept.")


def _find_run(path: str) -> RunFolder:
    """The run in a folder. Raises `InputError` if there is none, which of a preset or an export names their flag."""
    try:
        return RunFolder(path)
    except InputError as error:
        try:
            trained = find_model(path).kind is not Kind.RUN
        except InputError:
            trained = False
        if not trained:
            raise
        raise InputError(f"{path} is a preset or an export, not a run: pass it as --export, with --dataset.") from error


def _tell_known(flags: FlagValues, dataset: "ReidDataset", asked: DatasetOptions) -> None:
    """Says on standard error if the network was trained on people who are tested, or if that cannot be known."""
    from hacnn_tf.training.seen import whom_it_knows

    preset = flags.export or flags.run_dir
    if words := whom_it_knows(preset, dataset, asked, flags.data_root):
        print(f"{preset} {words}, so the results flatter it.", file=sys.stderr)


def _tell_changes(run: RunFolder, dataset: "ReidDataset") -> None:
    """Says on standard error if results will be of other test images than those of the training, or of other pixels."""
    if run.tests_others(dataset.fingerprint(TEST_SPLITS)):
        print(f"{run.path} is tested on other images now than when its training began.", file=sys.stderr)
    if run.code[-1]["pixels"] not in (None, DECODER_VERSION):
        print(f"The images of {run.path} are decoded otherwise now than in its training.", file=sys.stderr)


def _data_root(flags: FlagValues, run: RunFolder) -> str:
    """Where a run's own dataset is: as said, or else where its training found it, if that is there still."""
    if not run.data_root or flags["data_root"].present or not os.path.exists(there := expanded(run.data_root)):
        return flags.data_root
    if os.path.exists(flags.data_root) and not os.path.samefile(there, flags.data_root):
        others = f"for those in {flags.data_root}, give --data_root={flags.data_root}"
        print(f"The images are read from {run.data_root}, as in training; {others}.", file=sys.stderr)
    return run.data_root


def _asked(flags: FlagValues) -> DatasetOptions | None:
    """The `DatasetOptions` that were asked for; None if the dataset is the run's own."""
    names = [field.name for field in options(DatasetOptions)]
    given = {name: value for name in names if (value := flags[name].value) is not None and value is not False}
    if given and flags.dataset is None:
        raise InputError(f"--{next(iter(given))} needs --dataset; without it, the run says what it is tested on.")
    return DatasetOptions(**given) if given else None


def _arrays(dataset: "ReidDataset", features: Mapping[str, Features]) -> dict[str, NDArray]:
    """What `features.npz` holds: of every split the features, paths, identities, cameras and any tracks, row by row."""
    arrays: dict[str, NDArray] = {}
    for split, values in features.items():
        rows = dataset.split(split)
        arrays[f"{split}_features"] = values
        arrays[f"{split}_paths"] = rows.path.to_numpy(dtype=str)
        arrays[f"{split}_pids"] = rows.pid.to_numpy()
        arrays[f"{split}_camids"] = rows.camid.to_numpy()
        if "track" in rows and rows.track.notna().any():
            arrays[f"{split}_tracks"] = rows.track.fillna("").to_numpy(dtype=str)
    return arrays


if __name__ == "__main__":
    COMMAND.run(main)

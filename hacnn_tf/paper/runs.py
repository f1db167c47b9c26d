"""Which run folders a table is made from."""

import dataclasses
from pathlib import Path

from hacnn_tf.errors import InputError
from hacnn_tf.training.run_folder import RunFolder

# Settings that say which experiment a run is; the others, apart from FREE, must be the table's.
EXPERIMENT = ("dataset", "split", "boxes", "testset", "spatial", "channel", "regional", "interaction")
FREE = ("seed", "eval_every", "xla")  # another seed is another sample; the rest does not change what is learnt


class RunFolders:
    """The run folders below a folder.

    Args:
        folder: holds run folders.

    Attributes:
        left_out: one sentence for each run folder that was asked for and could not be used; grows with `select`.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"There is no folder {folder} with runs: train them, or name the folder that holds them.")
        self.left_out, self._runs = [], []
        for config in sorted(self.folder.glob("*/config.json")):
            try:
                self._runs.append(RunFolder(config.parent))
            except InputError as error:
                self._leave_out(str(error))

    def all(self):
        """All run folders, finished or not, by name."""
        return list(self._runs)

    def select(self, settings):
        """The finished runs of an experiment.

        Args:
            settings: `Settings`; its seed is of no account.

        Returns:
            List of (`RunFolder`, results as of `evaluate_features`), one a seed, by seed.
        """
        selected = {}
        wanted = dataclasses.asdict(settings)
        for run in self._runs:
            found = dataclasses.asdict(run.settings)
            if any(found[name] != wanted[name] for name in EXPERIMENT):
                continue
            other = [name for name in wanted if name not in (*EXPERIMENT, *FREE) and found[name] != wanted[name]]
            if other:
                there = ", ".join(f"--{name} {found[name]}" for name in other)
                here = ", ".join(f"{wanted[name]}" for name in other)
                self._leave_out(f"{run.path} was trained with {there}, and this table asks for {here}.")
                continue
            try:
                results = run.read_metrics()
            except InputError as error:
                self._leave_out(str(error))
                continue
            first = next(iter(selected.values()), (run,))[0]
            if run.settings.seed in selected:
                twin = selected[run.settings.seed][0].path
                self._leave_out(f"{run.path} has the seed and settings of {twin}, which is used.")
            elif run.fingerprint != first.fingerprint:
                self._leave_out(f"{run.path} was trained on other images of {run.dataset_name} than {first.path}.")
            else:
                selected[run.settings.seed] = run, results
        return [selected[seed] for seed in sorted(selected)]

    def _leave_out(self, sentence):
        if sentence not in self.left_out:
            self.left_out.append(sentence)

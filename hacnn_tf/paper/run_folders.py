"""Which run folders a table is made from."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import Settings
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath, Results

DATA = ("dataset", "split", "boxes", "testset")
Data = tuple[str | int | None, ...]  # the values of these settings
# Settings that say which experiment a run is; the others, apart from FREE, must be the table's.
EXPERIMENT = (*DATA, "spatial", "channel", "local", "regional", "interaction")
FREE = ("seed", "eval_every", "xla")  # another seed is another sample; the rest does not change what is learnt


class RunFolders:
    """The run folders below a folder.

    Args:
        folder: holds run folders.
        fingerprints: dict from `data_key` to the fingerprints that the training and the test images of runs on this
            data must have; where it says nothing, the first run that is selected decides for all.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, folder: FilePath, fingerprints: Mapping[Data, tuple[str, str]] | None = None) -> None:
        self.folder = Path(expanded(folder))
        self._trained, self._tested = ({k: pair[i] for k, pair in (fingerprints or {}).items()} for i in (0, 1))
        if not self.folder.is_dir():
            raise InputError(f"There is no folder {folder} with runs: train them, or name the folder that holds them.")
        self._left_out: list[str] = []
        self._runs: list[RunFolder] = []
        for config in sorted(self.folder.glob("*/config.json")):
            try:
                self._runs.append(RunFolder(config.parent))
            except InputError as error:
                self._leave_out(str(error))

    @property
    def left_out(self) -> list[str]:
        """Sentences on the run folders that were asked for and could not be used; grows with `select`."""
        return folded(self._left_out)

    def all(self) -> list[RunFolder]:
        """All run folders, finished or not, by name."""
        return list(self._runs)

    def select(self, settings: Settings) -> list[tuple[RunFolder, Results]]:
        """The finished runs of an experiment.

        Args:
            settings: `Settings`; its seed is ignored.

        Returns:
            List of (`RunFolder`, results as of `evaluate_features`), one a seed, by seed.
        """
        selected: dict[int, tuple[RunFolder, Results]] = {}
        for run in self._runs:
            if any(getattr(run.settings, name) != getattr(settings, name) for name in EXPERIMENT):
                continue
            try:
                _check_settings(run, settings)
                results = run.read_metrics()
                if run.trained != self._trained.setdefault(data_key(settings), run.trained):
                    raise InputError(f"{run.path} was trained on other images of {run.dataset_name} than this table's.")
                tested = run.read_test()[0]
                if tested and tested != self._tested.setdefault(data_key(settings), tested):
                    raise InputError(
                        f"{run.path} was tested on other images of {run.dataset_name} than this table's: test it on "
                        f"those with python -m hacnn_tf.evaluate --run_dir {run.path}."
                    )
                if run.settings.seed in selected:
                    twin = selected[run.settings.seed][0].path
                    raise InputError(f"{run.path} has the seed and settings of {twin}, which is used.")
            except InputError as error:
                self._leave_out(str(error))
                continue
            selected[run.settings.seed] = run, results
        return [selected[seed] for seed in sorted(selected)]

    def _leave_out(self, sentence: str) -> None:
        if sentence not in self._left_out:
            self._left_out.append(sentence)


def folded(texts: Iterable[str]) -> list[str]:
    """Texts that differ only in the seed of a run folder's name as one, the way a shell expands it: `run-seed{0,1}`."""
    groups: dict[tuple[str, str], list[str]] = {}
    for text in texts:
        ((before, seed, after),) = re.findall(r"\A(?:(.*?-seed)(\d+)\b)?(.*)\Z", text, re.DOTALL)
        groups.setdefault((before, after), []).append(seed)
    return [
        before + (seeds[0] if len(seeds) == 1 else f"{{{','.join(seeds)}}}") + after
        for (before, after), seeds in groups.items()
    ]


def data_key(settings: Settings) -> Data:
    """What of some `Settings` says which data they are for."""
    return tuple(getattr(settings, name) for name in DATA)


def _check_settings(run: RunFolder, settings: Settings) -> None:
    """Raises `InputError` if a run is of other settings, `FREE` ones aside."""
    differences = run.settings.differences(settings)
    other = [name for name in differences if name not in (*EXPERIMENT, *FREE)]
    if other:
        there = preview([f"--{name} {differences[name][0]}" for name in other], 5)
        here = preview([differences[name][1] for name in other], 5)
        raise InputError(f"{run.path} was trained with {there}, and this table asks for {here}.")

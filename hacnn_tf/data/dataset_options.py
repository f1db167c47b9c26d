"""Which dataset is meant: the options that commands share."""

import dataclasses

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.options import check_options, fill, option

DISTRIBUTED = ("synthetic", "cuhk03", "market1501", "dukemtmc")
DATASETS = f"{', '.join(DISTRIBUTED)}, folder or folder:NAME (data/README.md), or several with commas"
GROUP = "Dataset"


def dataset_names(text: str) -> tuple[str, ...]:
    """The datasets that `--dataset` names.

    Args:
        text: one or several of "synthetic", "cuhk03", "market1501", "dukemtmc", "folder" and "folder:NAME", separated
            by commas.

    Returns:
        Tuple of str.

    Raises:
        InputError: there is no such dataset, or it is named twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in (*DISTRIBUTED, "folder") and not (name.startswith("folder:") and name != "folder:"):
            raise InputError(
                f"--dataset takes {', '.join(DISTRIBUTED)}, folder or folder:NAME, or several of them separated by "
                f"commas, not {name!r}."
            )
        if names.count(name) > 1:
            raise InputError(f"--dataset names {name} twice: name each dataset once.")
    return names


@dataclasses.dataclass(frozen=True)
class DatasetOptions:
    """The arguments of `read_dataset`, each a flag. What is left open is filled in for the dataset.

    Raises:
        InputError: one has a value that it cannot have, or is of another dataset.
    """

    dataset: str = option("synthetic", DATASETS, GROUP)
    split: str | None = option(
        None, "CUHK03's protocol; 767_700 by default; all: trains on all of it", GROUP, ["767_700", "1367_100", "all"]
    )
    boxes: str | None = option(
        None, "boxes of CUHK03 and synthetic; detected by default", GROUP, ["detected", "labelled"]
    )
    testset: int | None = option(None, "which of the 20 test sets of 1367_100; 1 by default", GROUP, low=1)
    allow_subset: bool = option(False, "accept a part of a dataset", GROUP)
    test_share: float | None = option(
        None, "share of a folder's identities to test on, if it has no split; 0.5 by default", GROUP
    )
    split_seed: int | None = option(None, "seed for choosing them; 0 by default", GROUP, low=0, below=2**32)
    camera_pattern: str | None = option(None, "regular expression; its group is the camera in a folder's names", GROUP)

    def __post_init__(self) -> None:
        check_options(self)
        names = dataset_names(self.dataset)
        fill(self, dataset=",".join(names))
        if self._tests_nobody:
            raise InputError(
                "--split all leaves nobody to test on: name another dataset too, as in --dataset cuhk03,folder:NAME, "
                "or in training hold some out with --validation."
            )
        own = any(name.startswith("folder") for name in names)
        for name, default, allowed, needed in (
            ("split", "767_700", "cuhk03" in names, "cuhk03"),
            ("boxes", "detected", "cuhk03" in names or "synthetic" in names, "cuhk03 or synthetic"),
            ("testset", 1, self.split == "1367_100", "cuhk03 --split 1367_100"),
            ("test_share", None, own, "folder"),
            ("split_seed", None, own, "folder"),
            ("camera_pattern", None, own, "folder"),
        ):
            value = getattr(self, name)
            if value is not None and not allowed:
                raise InputError(f"--{name} needs --dataset {needed}: leave it out.")
            if value is None and allowed:
                fill(self, **{name: default})

    @property
    def _tests_nobody(self) -> bool:
        return self.split == "all" and self.dataset == "cuhk03"

"""The flags that say which dataset is meant."""

DATASET_FLAGS = [  # and data_root, which is a place
    "dataset",
    "split",
    "boxes",
    "testset",
    "allow_subset",
    "test_share",
    "split_seed",
    "camera_pattern",
]


def define_dataset_flags(command, default="synthetic"):
    """Defines the arguments of `read_dataset` as flags of a `cli.Command`; `default` is the dataset's."""
    command.define(
        "string",
        "dataset",
        default,
        "synthetic, cuhk03, market1501, dukemtmc, folder or folder:NAME (data/README.md), or several: cuhk03,folder:x",
    )
    command.define(
        "enum", "split", None, "CUHK03's protocol; 767_700 if not given", enum_values=["767_700", "1367_100"]
    )
    command.define(
        "enum",
        "boxes",
        None,
        "boxes of CUHK03 and synthetic; detected if not given",
        enum_values=["detected", "labelled"],
    )
    command.define("integer", "testset", None, "which of the 20 test sets of 1367_100; 1 if not given", lower_bound=1)
    command.define("path", "data_root", "data", "folder that holds the datasets; of folder, the folder or manifest")
    command.define("boolean", "allow_subset", False, "accept a part of a dataset")
    command.define("float", "test_share", None, "share of a folder's identities to test on, if it has no split; 0.5")
    command.define("integer", "split_seed", None, "of which identities those are; 0 if not given", lower_bound=0)
    command.define("string", "camera_pattern", None, "regular expression; its group is the camera in a folder's names")

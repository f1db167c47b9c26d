"""The flags that say which dataset is meant."""

DATASET_FLAGS = ["dataset", "split", "boxes", "testset", "allow_subset"]  # and data_root, which is a place


def define_dataset_flags(command):
    """Defines the arguments of `read_dataset` as flags of a `cli.Command`."""
    command.define(
        "enum", "dataset", "synthetic", "which", enum_values=["synthetic", "cuhk03", "market1501", "dukemtmc"]
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
    command.define("string", "data_root", "data", "folder that holds the datasets")
    command.define("boolean", "allow_subset", False, "accept a part of a dataset")

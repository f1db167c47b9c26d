"""Table 8: the size of HA-CNN beside well-known networks, counted on their Keras graphs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import pandas as pd

from hacnn_tf.models import HACNN, count, kernel_calls
from hacnn_tf.models.counting import KernelCall
from hacnn_tf.paper.published import number, read_published
from hacnn_tf.paper.table import NOTHING, Table, signed
from hacnn_tf.utils.types import Tensor

IMAGENET_CLASSES = 1000


def alexnet(groups: int = 2) -> keras.Sequential:
    """AlexNet (Krizhevsky et al., NIPS 2012), without its weightless normalisations.

    Args:
        groups: 2 as trained on two GPUs: the second, fourth and fifth convolution each see half of the maps; 1 where
            one GPU holds them all.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((227, 227, 3)),
            layers.Conv2D(96, 11, 4, activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(256, 5, padding="same", groups=groups, activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(384, 3, padding="same", activation="relu"),
            layers.Conv2D(384, 3, padding="same", groups=groups, activation="relu"),
            layers.Conv2D(256, 3, padding="same", groups=groups, activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Flatten(),
            layers.Dense(4096, activation="relu"),
            layers.Dense(4096, activation="relu"),
            layers.Dense(IMAGENET_CLASSES, activation="softmax"),
        ],
        name="alexnet",
    )


def unpadded_resnet50() -> keras.Model:
    """ResNet50 as Keras had it when the paper was written: maps of 55×55, not 56×56, after the first pooling."""

    def copy(layer: keras.Layer) -> keras.Layer:
        return (
            keras.layers.ZeroPadding2D(0) if layer.name == "pool1_pad" else type(layer).from_config(layer.get_config())
        )

    return keras.models.clone_model(keras.applications.ResNet50(weights=None), clone_function=copy)


def googlenet() -> keras.Model:
    """GoogLeNet (Szegedy et al., CVPR 2015, Table 1), as it is used: without the auxiliary classifiers."""
    layers = keras.layers

    def conv(x: Tensor, filters: int, size: int, strides: int = 1) -> Tensor:
        return layers.Conv2D(filters, size, strides, padding="same", activation="relu")(x)

    def inception(x: Tensor, single: int, reduce3: int, wide3: int, reduce5: int, wide5: int, pooled: int) -> Tensor:
        pool = layers.MaxPooling2D(3, 1, padding="same")(x)
        streams = [
            conv(x, single, 1),
            conv(conv(x, reduce3, 1), wide3, 3),
            conv(conv(x, reduce5, 1), wide5, 5),
            conv(pool, pooled, 1),
        ]
        return layers.Concatenate()(streams)

    images = keras.Input((224, 224, 3))
    x = layers.MaxPooling2D(3, 2, padding="same")(conv(images, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2, padding="same")(conv(conv(x, 64, 1), 192, 3))
    x = inception(x, 64, 96, 128, 16, 32, 32)
    x = inception(x, 128, 128, 192, 32, 96, 64)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    x = inception(x, 192, 96, 208, 16, 48, 64)
    x = inception(x, 160, 112, 224, 24, 64, 64)
    x = inception(x, 128, 128, 256, 24, 64, 64)
    x = inception(x, 112, 144, 288, 32, 64, 64)
    x = inception(x, 256, 160, 320, 32, 128, 128)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    x = inception(x, 256, 160, 320, 32, 128, 128)
    x = inception(x, 384, 192, 384, 48, 128, 128)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(IMAGENET_CLASSES, activation="softmax")(x), name="googlenet")


MARKET1501_IDENTITIES = 751
# By row of the published table: what is counted, and how to build it.
NETWORKS: dict[str, dict[str, Callable[[], keras.Model] | None]] = {
    "AlexNet [15]": {"AlexNet, two groups": alexnet, "AlexNet, one tower": lambda: alexnet(groups=1)},
    "VGG16 [26]": {"VGG16": lambda: keras.applications.VGG16(weights=None)},
    "ResNet50 [8]": {
        "ResNet50": lambda: keras.applications.ResNet50(weights=None),
        "ResNet50, pooling unpadded": unpadded_resnet50,
    },
    "GoogLeNet [30]": {"GoogLeNet": googlenet},
    "JLML": {"JLML, not counted": None},
    "HA-CNN": {"HA-CNN": lambda: HACNN(MARKET1501_IDENTITIES)},
}
MODULES = {  # kinds of HA-CNN's modules, by a part of their names
    "stem": "first conv",
    "soft_attention": "soft attention",
    "local_inception": "local Inceptions",
    "inception": "Inceptions",
    "fc": "FC",
    "classifier": "classifier",
}
AGREES = 0.01  # relative deviation from a published figure
FIGURES: dict[str, tuple[dict[str, str], float]] = {  # published column: how it may have been counted; the paper's unit
    "FLOPs": ({"MACs": "macs", "2 × MACs": "flops"}, 1),
    "PN (million)": ({"weights": "weights"}, 1e6),
    "Depth": ({"depth": "depth", "branch after branch": "in_sequence"}, 1),
}


def networks_table() -> Table:
    """Table 8: every network counted with and without its classifier, in multiply-adds and in FLOPs (two each).

    Returns:
        A `Table`. Its data has a line a network: `macs`, `flops`, `weights` and `depth`, each `_with` and `_without`
        the classifier, of HA-CNN also `in_sequence` (`depth_in_sequence`), and for each published figure `... agrees
        with`: the ways of counting that come within 1% of it, or "none" and the nearest, with their deviations in
        percent.
    """
    published = read_published("table8")
    rows = []
    for name, networks in NETWORKS.items():
        for network, build in networks.items():
            counts = _counts(build()) if build else {}
            agreements = {f"{f} agrees with": _agreement(counts, f, published.loc[name, f]) for f in FIGURES}
            rows.append({"network": network, **published.loc[name], **counts, **agreements})
    data = pd.DataFrame(rows)
    ha_cnn = data.set_index("network").loc["HA-CNN"]
    notes = [
        "Counted: kernels of convolutions and FC layers, as multiply-adds (MACs) for one image and FLOPs = 2 × MACs; "
        "no biases, normalisations or activations. Depth: the longest way through such kernels.",
        "Measured with / without the classifier.",
        "AlexNet's published FLOPs are those of its two groups (it was trained on two GPUs), its weights those of one "
        "tower.",
        "ResNet50 has 3.86e9 MACs today, and 3.83e9 in the Keras of that time, without padding before its first "
        "pooling; its own paper says 3.8e9.",
        "JLML is published only: the widths of its layers could not be confirmed from a public source.",
        "HA-CNN's FLOPs agree with two a multiply-add, for which its first conv was given 32 filters; the others' with "
        "one.",
        _depth_note(ha_cnn),
        _per_region_note(ha_cnn),
    ]
    data = data.drop(columns=["modules", "weights_per_region"])
    return Table("table8", "Table 8. Model size and complexity", data, _shown(data), notes)


def depth_in_sequence(calls: Iterable[KernelCall]) -> dict[str, int]:
    """The depth of HA-CNN if its branches stood one after another: the longest way through each module, added up.

    What stands side by side in both branches, FC layers and classifiers, counts once; hard attention's FC layers, which
    lead from one branch into the other, do not count.

    Args:
        calls: `KernelCall`s of a `HACNN`.

    Returns:
        Dict of int by kind of module, as in "Inceptions".
    """
    depths: dict[str, list[int]] = {}
    for call in calls:
        depths.setdefault(call.path.split("/")[0], []).append(call.depth)
    totals: dict[str, int] = {}
    for module, found in depths.items():
        if "hard_attention" not in module and module not in ("local_fc", "local_classifier"):
            kind = next(kind for part, kind in MODULES.items() if part in module)
            totals[kind] = totals.get(kind, 0) + max(found) - min(found) + 1
    return totals


def _depth_note(ha_cnn: pd.Series) -> str:
    parts = ", ".join(f"{kind} {depth}" for kind, depth in ha_cnn.modules.items())
    return (
        f"HA-CNN's longest path has {ha_cnn.depth_with:.0f} layers; one branch after the other has "
        f"{ha_cnn.in_sequence_with:.0f} ({parts}), without hard attention's FC layers."
    )


def _per_region_note(ha_cnn: pd.Series) -> str:
    return (
        "torchreid's model zoo gives its HACNN 4.5 million weights: the local Inceptions, which all regions share, are "
        f"counted once per region. Ours has {ha_cnn.weights_per_region / 1e6:.2f} million by this count, without "
        "classifiers."
    )


def _counts(model: keras.Model) -> dict[str, Any]:
    calls = kernel_calls(model)
    heads = len(model.branches) if isinstance(model, HACNN) else 1  # the classifiers come last
    totals = {"with": count(calls), "without": count(calls[:-heads])}
    counts: dict[str, Any] = {}
    if isinstance(model, HACNN):
        counts["modules"] = depth_in_sequence(calls)
        counts["in_sequence_with"] = sum(counts["modules"].values())
        counts["in_sequence_without"] = counts["in_sequence_with"] - counts["modules"]["classifier"]
        shared = count([call for call in calls if "local_inception" in call.path])["weights"]
        more_regions = model.get_config()["num_regions"] - 1
        counts["weights_per_region"] = totals["without"]["weights"] + more_regions * shared
    for suffix, total in totals.items():
        counts |= {f"{name}_{suffix}": value for name, value in (("flops", 2 * total["macs"]), *total.items())}
    return counts


def _agreement(counts: Mapping[str, Any], figure: str, published: str) -> str:
    """The ways of counting that agree with a published figure, as text."""
    if not counts:
        return NOTHING
    ways, unit = FIGURES[figure]
    deviations = {
        f"{way} {suffix} classifier": counts[f"{key}_{suffix}"] / (unit * number(published)) - 1
        for way, key in ways.items()
        for suffix in ("with", "without")
        if f"{key}_{suffix}" in counts
    }
    near = {way: d for way, d in deviations.items() if abs(d) < AGREES}
    nearest = min(deviations, key=lambda way: abs(deviations[way]))
    named = near or {f"none; nearest {nearest}": deviations[nearest]}
    return ", ".join(f"{way} ({signed(100 * d)}%)" for way, d in named.items())


def _shown(data: pd.DataFrame) -> pd.DataFrame:
    def measured(key: str, form: Callable[[float], str]) -> list[str]:
        pairs = zip(data[f"{key}_with"], data[f"{key}_without"], strict=True)
        return [NOTHING if pd.isna(a) else f"{form(a)} / {form(b)}" for a, b in pairs]

    def billions(value: float) -> str:
        return f"{value / 1e9:.3f}e9"

    def millions(value: float) -> str:
        return f"{value / 1e6:.2f}"

    columns = {
        "FLOPs": data["FLOPs"],
        "MACs measured": measured("macs", billions),
        "2 × MACs measured": measured("flops", billions),
        "FLOPs agrees with": data["FLOPs agrees with"],
        "PN (million)": data["PN (million)"],
        "million weights measured": measured("weights", millions),
        "PN agrees with": data["PN (million) agrees with"],
        "Depth": data["Depth"],
        "depth measured": measured("depth", "{:.0f}".format),
        "Depth agrees with": data["Depth agrees with"],
    }
    return pd.DataFrame({name: list(values) for name, values in columns.items()}, index=data.network.rename("Model"))

"""Prints the kernel weights, multiply-adds and depth of HA-CNN, part by part, counted on its graph.

python -m hacnn_tf.complexity
"""

from typing import TYPE_CHECKING

from absl.flags import FlagValues

from hacnn_tf.utils import cli
from hacnn_tf.utils.startup import load_keras

if TYPE_CHECKING:
    from hacnn_tf.models.counting import KernelCall

COMMAND = cli.Command(__doc__, "hacnn_tf.complexity")
COMMAND.group("Network")
COMMAND.define("integer", "num_identities", 751, "classes of the classifiers", lower_bound=1, upper_bound=10**7)

PARTS = [
    "first conv",
    *(f"level {level} {part}" for level in (1, 2, 3) for part in ("Inceptions", "attention")),
    "global FC",
    "local branch",
    "total",
    "classifiers",
]


def main(flags: FlagValues) -> None:
    load_keras()
    from hacnn_tf.models import HACNN, count, kernel_calls

    parts: dict[str, list[KernelCall]] = {}
    for call in kernel_calls(HACNN(flags.num_identities)):
        parts.setdefault(part_of(call.path.split("/")[0]), []).append(call)
    parts["total"] = [call for part in PARTS[:-2] for call in parts[part]]  # without classifiers
    print(f"{'part':<22}{'kernel weights':>16}{'multiply-adds':>16}{'depth':>7}")
    for part in PARTS:
        total = count(parts[part])
        print(f"{part:<22}{total['weights']:>16,}{total['macs']:>16,}{total['depth']:>7}")


def part_of(layer: str) -> str:
    """The part of the network that a layer of `HACNN` belongs to, by its name."""
    if "classifier" in layer:
        return "classifiers"
    if "local" in layer:
        return "local branch"
    if layer.startswith("level"):
        return f"level {layer[5]} {'Inceptions' if 'inception' in layer else 'attention'}"
    return {"stem": "first conv", "global_fc": "global FC"}[layer]


if __name__ == "__main__":
    COMMAND.run(main)

"""What a training step's time goes to on a CPU, by kind of operation.

    python benchmarks/step_profile.py [--precision mixed_bfloat16]

Random weights and images, batches of 32, 767 identities; TensorFlow's profiler, all threads together.
"""

import collections
import tempfile
from pathlib import Path

import tensorflow as tf
from precision import IDENTITIES, training
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from hacnn_tf.models import HACNN
from hacnn_tf.utils import cli
from hacnn_tf.utils.options import PRECISIONS

COMMAND = cli.Command(__doc__, "step_profile")
COMMAND.group("Network")
COMMAND.define("enum", "precision", "float32", "dtype policy", enum_values=PRECISIONS)

WARM_UP, STEPS = 3, 8
SHOWN = 12


def profiled(work):
    """What TensorFlow's profiler recorded of `work`."""
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        work()
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        return xplane_pb2.XSpace.FromString(file.read_bytes())


def seconds_by_kind(space):
    """Counter from a kind of operation, as "Conv2DBackpropFilter", to seconds, of all threads that compute."""
    seconds = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            if line.name.startswith("tf_Compute"):
                for event in line.events:
                    name = plane.event_metadata[event.metadata_id].name
                    if ":" in name and "::" not in name:  # NAME:KIND; else it is the executor's own, around these
                        kind = name.rpartition(":")[2].removeprefix("_Mkl").removeprefix("Native")
                        seconds[kind] += event.duration_ps / 1e12
    return seconds


def main(flags):
    step, _ = training(HACNN(IDENTITIES, dtype=flags.precision))
    for _ in range(WARM_UP):
        step().numpy()
    seconds = seconds_by_kind(profiled(lambda: [step().numpy() for _ in range(STEPS)]))
    total = sum(seconds.values())
    print(f"{flags.precision}: {total / STEPS:.2f} s of computing a step, on all threads; of it")
    for kind, spent in seconds.most_common(SHOWN):
        print(f"  {kind:<28}{spent / total:6.1%}")
    print(f"  {'other':<28}{1 - sum(spent for _, spent in seconds.most_common(SHOWN)) / total:6.1%}")


if __name__ == "__main__":
    COMMAND.run(main)

"""The workers that TF_CONFIG names, for who has not imported TensorFlow yet."""

import json
import os

from hacnn_tf.utils.errors import InputError

CLUSTER = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


def find_workers(strategy: str) -> tuple[list[str], int]:
    """The workers to train on.

    Args:
        strategy: one of `hacnn_tf.training.settings.STRATEGIES`; "one" and "mirrored" do not look at TF_CONFIG.

    Returns:
        Their addresses, the chief's first, none or one where a single process trains; and which of them this is.

    Raises:
        InputError: TF_CONFIG is not as it must be, or names nobody to "multi_worker".
    """
    addresses, index = read_cluster(os.environ.get("TF_CONFIG")) if strategy in ("auto", "multi_worker") else ([], 0)
    if strategy == "multi_worker" and not addresses:
        raise InputError(f"--strategy multi_worker needs addresses: set TF_CONFIG to something like {CLUSTER}.")
    return addresses, index


def read_cluster(text: str | None) -> tuple[list[str], int]:
    """The addresses of the workers that TF_CONFIG names, the chief first, and which of them is this one.

    Services set it for trainings of one task too, a worker, chief or, as it was once called, master. It may also name
    nobody at all; then there is no address. Raises `InputError` if it is not as it must be.
    """
    try:
        content = json.loads(text or "{}")
        cluster, task = content.get("cluster") or {}, content.get("task") or {}
        if others := sorted({task.get("type", "worker"), *cluster} - {"master", "chief", "worker"}):
            raise ValueError(f"{' and '.join(others)} cannot train")
        tasks = {(kind, i): address for kind in sorted(cluster) for i, address in enumerate(cluster[kind])}
        if tasks and (mine := (task["type"], int(task["index"]))) not in tasks:
            raise ValueError(f"the cluster has no {mine[0]} {mine[1]}")
        if len(tasks) > 1:
            if "master" in cluster:
                raise ValueError("a master who has workers is called chief")
            if not all(0 < int(address.rpartition(":")[2]) < 2**16 for address in tasks.values()):
                raise ValueError("ports are numbers from 1 to 65535")
        return list(tasks.values()), list(tasks).index(mine) if tasks else 0
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise InputError(
            f"TF_CONFIG must be like {CLUSTER} ({reason}): set it so, or add --strategy one to train without it."
        ) from None

"""The error that commands turn into a sentence, and what becomes one."""

import re
import sys

OUT_OF_MEMORY = re.compile("RESOURCE_EXHAUSTED|[Ff]ailed to allocate memory|out of memory|bad_alloc")  # of runtimes


class InputError(Exception):
    """Something the user gave is wrong; the message says what, where and what to do. Commands print it and exit 1."""


class NoImagesError(InputError):
    """A database has no images, or none for which the condition of a search holds."""


class FormatError(InputError):
    """A file was written by a newer version of hacnn_tf, or a changed one, in a way that this one cannot read."""


def reason_of(message: str) -> str:
    """The line of a TensorFlow error's message that says what happened; that of a graph begins with where."""
    where = ("Graph execution error", "Detected at node", " ", "\t")
    lines = [line for line in message.splitlines() if line.strip() and not line.startswith(where)]
    return re.sub(r"\{\{\w+ [^}]*\}\} ?", "", lines[0] if lines else message)


def device_failure(error: BaseException) -> str | None:
    """The sentence for what is raised where memory is used up, or a GPU fails; None if it is something else."""
    tf = sys.modules.get("tensorflow")
    if not tf or not isinstance(error, tf.errors.OpError):
        runtimes = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime.")
        if not isinstance(error, MemoryError) and not (runtimes and OUT_OF_MEMORY.search(str(error))):
            return None
        reason = f" ({reason_of(str(error))[:200]})" if str(error) else ""
        return f"There is not enough memory{reason}: give this machine more, or the command less at once."
    reason = reason_of(error.message)[:200]
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return f"There is not enough memory ({reason}): end what else uses it, or take smaller batches."
    failed = isinstance(error, tf.errors.InternalError | tf.errors.UnknownError)
    if failed and tf.config.list_physical_devices("GPU"):
        return f"The GPU failed ({reason}): CUDA_VISIBLE_DEVICES=-1 computes on the CPU."
    return None

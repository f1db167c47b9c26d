"""Which errors of others are sentences: memory that is used up, and a GPU that fails."""

import pytest
import tensorflow as tf

from hacnn_tf.export import load_export
from hacnn_tf.preset import load_model
from hacnn_tf.utils.cli import exit_on_error
from hacnn_tf.utils.errors import InputError, device_failure

OUT_OF_MEMORY = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nand more")
FAILED = tf.errors.InternalError(None, None, "CUDA_ERROR_INVALID_HANDLE")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OUT_OF_MEMORY, "There is not enough memory (OOM when allocating tensor): end what else uses it"),
        (MemoryError("3 GiB"), "There is not enough memory (3 GiB): give this machine more"),
    ],
)
def test_a_command_ends_with_a_sentence(error, said):
    with pytest.raises(SystemExit) as stopped, exit_on_error("train"):
        raise error
    assert stopped.value.code.startswith(f"train: {said}")


def test_no_name_in_a_sentence_moves_the_cursor():
    with pytest.raises(SystemExit) as stopped, exit_on_error("index"):
        raise InputError("a\x1b[2J\r\u202e of\nträume, \u06a9\u062a\u0627\u0628\u200c\u0647\u0627")
    assert stopped.value.code == "index: a\\x1b[2J\\r\\u202e of\nträume, \u06a9\u062a\u0627\u0628\u200c\u0647\u0627"


def test_the_reason_is_what_happened_and_not_where_in_a_graph():
    large = tf.function(lambda n: tf.reduce_sum(tf.zeros([n, 2**20, 2**10])), autograph=False)
    with pytest.raises(tf.errors.ResourceExhaustedError) as error:
        large(tf.constant(2**22))
    assert device_failure(error.value).startswith("There is not enough memory (OOM when allocating")


def test_runtimes_too_say_that_memory_is_used_up():
    said = "[ONNXRuntimeError] : 6 : BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer"
    for error in (RuntimeError(said), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.")):
        assert device_failure(error).startswith(f"There is not enough memory ({str(error)[:20]}")
    assert device_failure(MemoryError()).startswith("There is not enough memory: give")
    assert device_failure(AssertionError("bad_alloc.jpg has no row")) is None, "a bug of ours stays one"


def test_where_there_is_no_gpu_other_errors_are_our_own(monkeypatch):
    with pytest.raises(tf.errors.InternalError), exit_on_error("train"):
        raise FAILED
    assert device_failure(ValueError("x")) is None
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["gpu"])
    assert device_failure(FAILED) == (
        "The GPU failed (CUDA_ERROR_INVALID_HANDLE): CUDA_VISIBLE_DEVICES=-1 computes on the CPU."
    )
    assert device_failure(tf.errors.NotFoundError(None, None, "no such file")) is None


def test_weights_that_do_not_fit_are_not_called_damaged(monkeypatch):
    def full(*_, **__):
        raise OUT_OF_MEMORY

    monkeypatch.setattr("hacnn_tf.models.legacy.load_weights", full)
    with pytest.raises(InputError, match=r"^There is not enough memory"):
        load_model("hacnn_cuhk03_detected")


def test_an_export_that_does_not_fit_is_not_called_damaged(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OUT_OF_MEMORY

    (tmp_path / "hacnn.keras").touch()
    monkeypatch.setattr("hacnn_tf.export.keras_file.load", full)
    with pytest.raises(InputError, match=r"^There is not enough memory"):
        load_export(tmp_path / "hacnn.keras")

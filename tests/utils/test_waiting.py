"""What is shown while something takes long: on a terminal, not in a log, and not if it is done at once."""

import io
import sys

import pytest

from hacnn_tf.utils import waiting
from hacnn_tf.utils.waiting import announced, bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "patience", "shown"), [(Terminal, 0, True), (Terminal, 60, False), (io.StringIO, 0, False)]
)
def test_a_bar_is_shown_on_a_terminal_after_a_while(stream, patience, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setattr(waiting, "PATIENCE", patience)
    items = bar(iter("abc"), "Decoding", 3, mininterval=0)
    assert list(items) == ["a", "b", "c"]
    said = sys.stderr.getvalue()
    assert ("Decoding:  67%" in said and "2/3" in said) == shown
    assert not said.rstrip("\r").endswith("image/s]")  # it goes when it is done


def test_a_line_is_shown_on_a_terminal_as_long_as_it_takes(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ZeroDivisionError), announced("Loading"):
        assert sys.stderr.getvalue() == "Loading ..."
        raise ZeroDivisionError
    assert sys.stderr.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_log_and_a_closed_stream_get_nothing(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(waiting, "PATIENCE", 0)
    with announced("Loading"):
        assert list(bar("ab", "Decoding", mininterval=0)) == ["a", "b"]
    assert stream is None or stream.getvalue() == ""

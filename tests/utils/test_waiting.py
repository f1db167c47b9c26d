"""What is shown while something takes long: on a terminal, not in a log, and not if it is done at once."""

import io
import os
import subprocess
import sys
import time
from types import SimpleNamespace

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
    for _ in bar(iter("abc"), "Decoding", 3):
        time.sleep(0.11)  # tqdm looks at the clock ten times a second
    said = sys.stderr.getvalue()
    assert ("Decoding:  67%" in said and "2/3" in said) == shown
    assert not shown or said.split("\r")[-2].isspace()  # it goes when it is done


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("TQDM_DISABLE", "1")])
def test_a_terminal_that_rewrites_nothing_gets_no_bar(name, value, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert waiting.on_terminal()
    monkeypatch.setenv(name, value)
    assert not waiting.on_terminal()


def test_who_prints_in_between_does_not_bring_the_bar_about(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(waiting, "PATIENCE", 60)
    items = bar("abc", "Decoding")
    for _ in items:
        items.clear()
        print("a word", file=sys.stderr)
    assert "Decoding" not in sys.stderr.getvalue()


def test_a_line_is_shown_on_a_terminal_as_long_as_it_takes(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ZeroDivisionError), announced("Loading"):
        assert sys.stderr.getvalue() == "Loading ..."
        raise ZeroDivisionError
    assert sys.stderr.getvalue().endswith("\r\x1b[K")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, io.StringIO(), SimpleNamespace(write=None), closed()])
def test_a_log_and_a_closed_stream_get_nothing(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(waiting, "PATIENCE", 0)
    with announced("Loading"):
        assert list(bar("ab", "Decoding")) == ["a", "b"]
    assert not isinstance(stream, io.StringIO) or stream.closed or stream.getvalue() == ""


def test_lines_of_a_terminal_that_was_closed_are_dropped(tmp_path):
    """In a process of its own, which no longer belongs to the terminal, as after `disown`."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom hacnn_tf.utils import cli\n"
        "def main(flags):\n"
        "    cli.print_line('before')\n"
        "    sys.stdin.readline()\n"
        "    for number in range(3): cli.print_line(f'after {number}')\n"
        "    Path(sys.argv[1]).touch()\n"
        "cli.Command('Waits.', 'waits').run(main, ['waits'])\n"
    )
    ours, theirs = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "done"],
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    ) as process:
        os.close(theirs)
        assert b"before" in os.read(ours, 100)
        os.close(ours)
        _, said = process.communicate("\n", timeout=60)
    assert (process.returncode, said) == (0, "") and (tmp_path / "done").exists()

"""What all commands share: grouped flags and one-sentence errors."""

import contextlib
import copy
import errno
import functools
import io
import itertools
import math
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from absl import flags, logging

from hacnn_tf.utils.errors import InputError, device_failure
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.options import PRECISIONS, kind, options
from hacnn_tf.utils.signals import stoppable
from hacnn_tf.utils.text import harmless

Options = TypeVar("Options")


class _Path(flags.ArgumentParser[str]):
    syntactic_help = "a path"

    def parse(self, argument: str) -> str:
        if not argument:  # as of a variable that is not set; what it was to guard or to keep would not be
            raise ValueError
        return expanded(argument)


class _Paths(flags.ListParser):
    def parse(self, argument: str | list[str]) -> list[str]:
        return list(map(expanded, super().parse(argument)))


class _Finite(flags.FloatParser):
    def convert(self, argument: float | str) -> float:
        if not math.isfinite(value := super().convert(argument)):
            raise ValueError(f"{argument} is not finite")
        return value


def _define_float(
    name: str, default: float | None, lower_bound: float | None = None, upper_bound: float | None = None, **kwargs: Any
) -> None:
    parser = _Finite(lower_bound, upper_bound)
    flags.DEFINE(parser, name, default, serializer=flags.ArgumentSerializer(), **kwargs)


KINDS: dict[str, Callable[..., Any]] = {  # of flags that absl has not, or otherwise, and what defines one
    "float": _define_float,
    "path": functools.partial(flags.DEFINE, _Path(), serializer=flags.ArgumentSerializer()),
    "multi_path": functools.partial(flags.DEFINE_multi, _Path(), flags.ArgumentSerializer()),
    "list_of_paths": functools.partial(flags.DEFINE, _Paths(), serializer=flags.CsvListSerializer(",")),
}


REPEATED = ";\n    repeat this option to specify a list of values"  # absl adds it
FLAGS = {bool: "boolean", int: "integer", float: "float", str: "string", tuple: "list"}  # absl's, of options


class Command:
    """A command: its flags in groups, and its main function.

    Args:
        doc: its help; the module's docstring.
        name: as typed, `python -m NAME`.
        once: refuse a flag that is given twice; otherwise the last counts, so that scripts can add a user's own flags
            to theirs.
    """

    def __init__(self, doc: str, name: str, once: bool = True) -> None:
        self.doc, self.name, self._once = doc, name, once
        self.values = flags.FlagValues()
        self._groups: dict[str, list[str]] = {}
        self._required: list[str] = []

    def group(self, title: str) -> None:
        """Puts the flags that are defined from here on under a heading of `--help`, below those that are there."""
        self._group = self._groups.setdefault(title, [])

    def define_options(self, cls: type, **defaults: Any) -> None:
        """Defines a flag for each `option` of a dataclass, under its heading; `defaults` are other ones by name."""
        for field in options(cls):
            default, values = defaults.get(field.name, field.default), field.metadata["values"]
            flag = "enum" if values else field.metadata.get("flag", FLAGS[kind(field)])
            more = {"enum_values": list(values)} if values else {}
            self.group(field.metadata["group"])
            self.define(flag, field.name, default, field.metadata["help"], **more)

    def define_dataset(self, cls: type, default: str | None = "synthetic") -> None:
        """Defines the flags of `DatasetOptions` or of what is one, and of where the datasets are."""
        self.define_options(cls, dataset=default)
        self.group("Dataset")
        self.define("path", "data_root", "data", "folder that holds the datasets; of folder, the folder or manifest")

    def define_precision(self) -> None:
        """Defines `--precision` of a trained network."""
        text = "dtype policy to compute in; by default the training's, of bundled weights float32"
        self.define("enum", "precision", None, text, enum_values=PRECISIONS)

    def define(self, kind: str, name: str, default: Any, text: str, **kwargs: Any) -> None:
        """Defines a flag.

        `kind` is absl's, as "string", "list" or "enum" (with `enum_values`); or one of `KINDS`: the `~` of paths is
        expanded, and floats are finite.
        """
        self._group.append(name)
        define = KINDS.get(kind) or getattr(flags, f"DEFINE_{kind}")
        define(name, default, help=text, flag_values=self.values, **kwargs)
        self.values[name].allow_overwrite = not self._once

    def require(self, *names: str) -> None:
        """Says that these flags must be given: `--help` marks them, and `run` refuses a command line without one."""
        self._required += names

    def help(self) -> str:
        """The text of `--help`: the command's doc, then its flags by group, with their defaults."""
        width = min(120, max(60, shutil.get_terminal_size((120, 24)).columns))
        lines = [_filled(self.doc or "", width), ""]  # python -OO leaves docstrings out
        for title, names in self._groups.items():
            lines.append(f"{title}:")
            for name in names:
                flag = self.values[name]
                shown = f"--[no]{name}" if flag.boolean else f"--{name}"
                default = "required" if name in self._required else (flag.default_as_str or "").strip("'")
                text = f"  {shown:<18} {flag.help.removesuffix(REPEATED)}{default and f' [{default}]'}"
                lines.append(textwrap.fill(text, width, subsequent_indent=" " * 21, break_on_hyphens=False))
            lines.append("")
        return "\n".join(lines)

    def run(self, main: Callable[[flags.FlagValues], None], argv: Sequence[str] | None = None) -> None:
        """Parses the flags and calls `main(values)`.

        Exits with a sentence and 1 if the input is wrong, with 128 + the signal's number if one stopped it.
        """
        argv = sys.argv if argv is None else argv
        logging.set_verbosity(logging.ERROR)
        with exit_on_error(self.name):
            if {"--help", "-help", "-h"} & set(argv[1:]):
                print(self.help())
            else:
                values = parse(self.values, argv)
                require(values, *self._required)
                main(values)


@contextlib.contextmanager
def exit_on_error(name: str) -> Iterator[None]:
    """Ends the process if what is done in it fails: with a sentence and 1, or as shells do if a signal stopped it.

    Args:
        name: of the command, for the sentence.
    """
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # paths may have letters that it has not
        with stoppable():
            yield
        sys.stdout.flush()  # or a full disk would be noticed after this, by Python
    except InputError as error:
        sys.exit(f"{name}: {harmless(str(error))}")
    except BrokenPipeError:  # who read it has left, as `| head` does
        drop_output()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:  # what the system refuses, wherever that is noticed: a closed folder, a full disk
        drop_output()
        sys.exit(f"{name}: {harmless(_refusal(error))}.")
    except KeyboardInterrupt as stopped:
        if str(stopped):
            with contextlib.suppress(OSError):  # Ctrl-C has ended a `| tee` too
                print(f"{name}: {stopped}", file=sys.stderr, flush=True)
        sys.exit(128 + getattr(stopped, "number", signal.SIGINT))
    except Exception as error:
        if said := device_failure(error):
            sys.exit(f"{name}: {said}")
        raise


def print_line(text: str) -> None:
    """Prints a line of what takes long, and goes on if who read it has left: `| head`, a terminal that was closed."""
    try:
        print(text, flush=True)
    except OSError as error:
        if not (isinstance(error, BrokenPipeError) or error.errno == errno.EIO):
            raise
        drop_output()


def drop_output() -> None:
    """Sees to it that what cannot be written to standard output is not tried again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refusal(error: OSError) -> str:
    """What an `OSError` says, and what to do."""
    said = ": ".join(filter(None, [error.filename and str(error.filename), error.strerror or str(error)]))
    if isinstance(error, PermissionError) and error.filename:
        return f"{said}; name a path that you may read and write"
    if "temporary directory" in said:  # of `tempfile`, which libraries use too
        return f"{said}; set TMPDIR to a folder that may be written"
    return said


def _filled(doc: str, width: int) -> str:
    """A text with its paragraphs filled to a width; what is indented, as commands are, stays as it is, to be copied."""
    parts = itertools.groupby(doc.strip().splitlines(), lambda line: line[:1].strip() != "")
    return "\n".join(
        textwrap.fill(" ".join(lines), width, break_long_words=False, break_on_hyphens=False)
        if prose
        else "\n".join(lines)
        for prose, lines in parts
    )


def given_options(cls: type[Options], values: flags.FlagValues) -> Options:
    """The dataclass that flags of `Command.define_options` give."""
    return cls(**{field.name: values[field.name].value for field in options(cls)})


def require(values: flags.FlagValues, *names: str) -> None:
    """Raises `InputError` unless all of these flags were given."""
    missing = [f"--{name}" for name in names if values[name].value is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} must be given; --help lists the flags.")


def check_apart(values: flags.FlagValues, one: str, other: str) -> None:
    """Raises `InputError` if two flags name the same file, of which one would replace what the other wrote."""
    paths = [os.path.realpath(path) for name in (one, other) if (path := values[name].value)]
    if len(paths) > len(set(paths)):
        raise InputError(f"--{one} and --{other} name one file: name two.")


def parse(values: flags.FlagValues, argv: Sequence[str]) -> flags.FlagValues:
    """A copy of absl's `FlagValues`, with those that a command line sets; raises `InputError` if it cannot."""
    values = copy.deepcopy(values)
    try:
        rest = values(argv)[1:]
    except flags.IllegalFlagValueError as error:
        raise InputError(f"{_requirement(values, error) or error}; --help lists the flags.") from None
    except (flags.Error, ValueError) as error:  # absl's ValueError: --noNAME does not take an argument
        raise InputError(f"{error}; --help lists the flags.") from None
    if rest:
        raise InputError(f"Unexpected argument {rest[0]!r}; flags begin with --, and --help lists them.")
    return values


def _requirement(values: flags.FlagValues, error: flags.IllegalFlagValueError) -> str:
    """What the value of a flag must be; empty if not known. absl says "flag --NAME=VALUE: REASON", with Python's."""
    name, _, value = str(error).removeprefix("flag --").removesuffix(f": {error.__context__}").partition("=")
    if error.__context__ is None:  # it is not of a value
        return f"--{name} is given more than once" if ": already defined as " in str(error) else ""
    parser = values[name].parser
    if isinstance(parser, flags.EnumParser):
        must = f"one of {', '.join(parser.enum_values)}"
    elif isinstance(parser, flags.BooleanParser):
        must = "true or false"
    else:
        must = parser.syntactic_help.replace("an integer", "a whole number").replace("integer", "whole number")
    return must and f"--{name} must be {must}, not {value[:60] or 'empty'}"

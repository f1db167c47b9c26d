"""What all commands share: grouped flags and one-sentence errors."""

import contextlib
import copy
import os
import signal
import sys

import keras
from absl import flags, logging

from hacnn_tf.errors import InputError
from hacnn_tf.signals import stoppable


class Command:
    """A command: its flags in groups, and its main function.

    Args:
        doc: its help; the module's docstring.
        name: as typed, `python -m NAME`.
    """

    def __init__(self, doc, name):
        self.doc, self.name = doc, name
        self.values = flags.FlagValues()
        self._groups, self._ungrouped = {}, []

    def group(self, title):
        """Puts flags defined since the last group under a heading of `--help`."""
        self._groups[title], self._ungrouped = self._ungrouped, []

    def define(self, kind, name, default, text, **kwargs):
        """Defines a flag; `kind` is absl's, as "string", "list" or "enum" (with `enum_values`)."""
        self._ungrouped.append(name)
        getattr(flags, f"DEFINE_{kind}")(name, default, help=text, flag_values=self.values, **kwargs)

    def help(self):
        """The text of `--help`: the command's doc, then its flags by group, with their defaults."""
        lines = [self.doc.strip(), ""]
        for title, names in self._groups.items():
            lines.append(f"{title}:")
            for name in names:
                flag = self.values[name]
                shown = f"--[no]{name}" if flag.boolean else f"--{name}"
                default = "" if flag.default is None else f" [{flag.default_as_str.strip(chr(39))}]"
                lines.append(f"  {shown:<18} {flag.help}{default}")
            lines.append("")
        return "\n".join(lines)

    def run(self, main, argv=None):
        """Parses the flags and calls `main(values)`.

        Exits with a sentence and 1 if the input is wrong, with 128 + the signal's number if one stopped it.
        """
        argv = sys.argv if argv is None else argv
        logging.set_verbosity(logging.ERROR)
        try:
            if {"--help", "-help", "-h"} & set(argv[1:]):
                print(self.help())
                return
            values = parse(self.values, argv)
            if keras.backend.backend() != "tensorflow":
                raise InputError(
                    f"Keras is set to {keras.backend.backend()}: set KERAS_BACKEND=tensorflow to run commands."
                )
            with stoppable():
                main(values)
            sys.stdout.flush()
        except InputError as error:
            sys.exit(f"{self.name}: {error}")
        except PermissionError as error:  # a folder on the way there is closed to us, wherever that is noticed
            sys.exit(f"{self.name}: {error.filename}: {error.strerror}; name a path that you may read and write.")
        except BrokenPipeError:  # who read it has left, as `| head` does; no more is written, not even at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)
        except KeyboardInterrupt as stopped:
            if str(stopped):
                with contextlib.suppress(OSError):  # Ctrl-C has ended a `| tee` too
                    print(f"{self.name}: {stopped}", file=sys.stderr, flush=True)
            sys.exit(128 + getattr(stopped, "number", signal.SIGINT))


def require(values, *names):
    """Raises `InputError` unless all of these flags were given."""
    missing = [f"--{name}" for name in names if values[name].value is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} must be given; --help lists the flags.")


def aligned(table, align=str.ljust):
    """A table of texts as lines, its columns below their names; the last one, the longest, is not padded."""
    widths = [max(map(len, [name, *table[name]])) for name in table.columns[:-1]]
    lines = [table.columns, *table.itertuples(index=False)]
    return "\n".join("  ".join([*map(align, line, widths), line[-1]]) for line in lines)


def parse(values, argv):
    """A copy of absl's `FlagValues`, with those that a command line sets; raises `InputError` if it cannot."""
    values = copy.deepcopy(values)
    try:
        rest = values(argv)[1:]
    except flags.Error as error:
        raise InputError(f"{error}; --help lists the flags.") from None
    if rest:
        raise InputError(f"Unexpected argument {rest[0]!r}; flags begin with --, and --help lists them.")
    return values

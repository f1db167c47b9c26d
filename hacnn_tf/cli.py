"""What all commands share: grouped flags, one-sentence errors, a quiet TensorFlow."""

import contextlib
import copy
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

from absl import flags, logging

from hacnn_tf.errors import InputError


class Command:
    """A command: its flags in groups, and its main function.

    Args:
        doc: its help; the module's docstring.
        name: as typed, `python -m NAME`.
    """

    def __init__(self, doc, name):
        self.doc, self.name = doc, name
        self.values = flags.FlagValues()
        self._groups = {}

    def group(self, title, *names):
        """Puts flags defined since the last group under a heading of `--help`."""
        grouped = {name for names in self._groups.values() for name in names}
        self._groups[title] = [name for name in self.values if name not in grouped]

    def define(self, kind, name, default, text, **kwargs):
        """Defines a flag; `kind` is "string", "integer", "float", "boolean" or "enum" (with `enum_values`)."""
        getattr(flags, f"DEFINE_{kind}")(name, default, help=text, flag_values=self.values, **kwargs)

    def help(self):
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
        """Parses the flags, calls `main(values)` and exits with 1 and one sentence when the input is wrong."""
        argv = sys.argv if argv is None else argv
        logging.set_verbosity(logging.ERROR)
        try:
            if {"--help", "-help", "-h"} & set(argv[1:]):
                print(self.help())
                return
            values = _parse(self.values, argv)
            if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
                raise InputError(f"The commands run on TensorFlow: unset KERAS_BACKEND={os.environ['KERAS_BACKEND']}.")
            os.environ["KERAS_BACKEND"] = "tensorflow"
            _import_tensorflow()
            main(values)
        except InputError as error:
            sys.exit(f"{self.name}: {error}")
        except KeyboardInterrupt:
            sys.exit(130)


def require(values, *names):
    """Raises `InputError` unless all of these flags were given."""
    missing = [f"--{name}" for name in names if values[name].value is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} must be given; --help lists the flags.")


def _parse(values, argv):
    values = copy.deepcopy(values)
    try:
        rest = values(argv)[1:]
    except flags.Error as error:
        raise InputError(f"{error}; --help lists the flags.") from None
    if rest:
        raise InputError(f"Unexpected argument {rest[0]!r}; flags begin with --, and --help lists them.")
    return values


def _import_tensorflow():
    """Imports TensorFlow without the lines that its libraries print while they load; shows them if that fails."""
    with tempfile.TemporaryFile("w+") as printed, contextlib.ExitStack() as stack:
        stderr = os.dup(2)
        stack.callback(os.close, stderr)
        stack.callback(os.dup2, stderr, 2)
        os.dup2(printed.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except ImportError:
            printed.seek(0)
            os.write(stderr, printed.read().encode())
            raise

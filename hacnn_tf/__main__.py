"""Lists the commands, each with the first line of its help.

python -m hacnn_tf
"""

import ast
import shutil
import sys
import textwrap
from pathlib import Path

from hacnn_tf.utils.cli import exit_on_error
from hacnn_tf.utils.errors import InputError

# In the order in which somebody meets them.
COMMANDS = (
    *("check", "train", "evaluate", "export", "index", "search", "app", "calibrate"),
    *("reproduce", "tables", "report", "complexity"),
)


def main() -> None:
    if unknown := [argument for argument in sys.argv[1:] if argument not in ("-h", "--help")]:
        name = unknown[0] if unknown[0] in COMMANDS else "NAME"
        raise InputError(f"Unexpected argument {unknown[0]!r}; commands are typed python -m hacnn_tf.{name}.")
    width = max(60, shutil.get_terminal_size((1000, 24)).columns)  # a line each where no terminal is
    print("Commands, each with --help:\n")
    for name in COMMANDS:
        path = Path(__file__).parent / name
        source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        doc = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
        line = f"  python -m hacnn_tf.{name:<12}{doc.splitlines()[0]}"
        print(textwrap.fill(line, width, subsequent_indent=" " * 33, break_on_hyphens=False))


if __name__ == "__main__":
    with exit_on_error("hacnn_tf"):
        main()

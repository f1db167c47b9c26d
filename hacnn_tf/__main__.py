"""Lists the commands, each with the first line of its help.

python -m hacnn_tf
"""

import ast
from pathlib import Path

# In the order in which somebody meets them.
COMMANDS = (
    *("check", "train", "evaluate", "export", "index", "search", "app", "calibrate"),
    *("reproduce", "tables", "report", "complexity"),
)


def main() -> None:
    print("Commands, each with --help:\n")
    for name in COMMANDS:
        path = Path(__file__).parent / name
        source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        doc = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
        print(f"  python -m hacnn_tf.{name:<12}{doc.splitlines()[0]}")


if __name__ == "__main__":
    main()

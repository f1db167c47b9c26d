"""HTML pages that need no other file, for tables, figures and what a search finds."""

import html
from pathlib import Path

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import FilePath

STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 0 1rem 3rem; color: #1b1f24; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid #d5dae0; padding-top: 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #e4e8ec; vertical-align: baseline; }
td { white-space: nowrap; }
tbody th, thead th:first-child { text-align: left; position: sticky; left: 0; background: #fff;
  max-width: max(9rem, 25vw); }
tbody th { overflow-wrap: break-word; min-width: 7rem; }
th.measured, td.measured { background: #f0f6ff; }
ul { padding-left: 1.2rem; overflow-wrap: anywhere; font-size: .85rem; color: #4a5560; }
img { max-width: 100%; height: auto; } figure { margin: 0; } nav a { margin-right: .8rem; white-space: nowrap; }
"""


def page(title: str, content: str) -> str:
    """A whole HTML page that needs no other file."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{content}</main>\n</body>\n</html>\n"
    )


def section(path: FilePath) -> str:
    """What stands inside a page that `page` made. Raises `InputError` if another program made it."""
    try:
        return Path(path).read_text(encoding="utf-8").split("<main>\n")[1].split("</main>")[0]
    except (OSError, UnicodeDecodeError, IndexError):
        raise InputError(f"{path} is not a page of hacnn_tf, or damaged: remove it and make it again.") from None

"""A table as people read it: CSV, Markdown and HTML from one pair of frames."""

import dataclasses
import html
from pathlib import Path

import pandas as pd

from hacnn_tf.errors import InputError
from hacnn_tf.files import write_text

STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 0 1rem 3rem; color: #1b1f24; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid #d5dae0; padding-top: 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #e4e8ec; vertical-align: baseline; }
td { white-space: nowrap; }
tbody th, thead th:first-child { text-align: left; position: sticky; left: 0; background: #fff; max-width: 9rem; }
tbody th { overflow-wrap: break-word; min-width: 7rem; }
th.measured, td.measured { background: #f0f6ff; }
ul { padding-left: 1.2rem; overflow-wrap: anywhere; font-size: .85rem; color: #4a5560; }
img { max-width: 100%; height: auto; } figure { margin: 0; } nav a { margin-right: .8rem; white-space: nowrap; }
"""
NOTHING = "–"
MEASURED = ("measured", "difference", "agrees with")  # columns that are ours, beside the paper's


@dataclasses.dataclass
class Sheet:
    """A table and where it comes from.

    Attributes:
        name: of its files.
        title: for people.
        data: `pandas.DataFrame`, every number in full: the CSV.
        shown: `pandas.DataFrame` of str, as it is read; the index is the first column.
        notes: sentences below it.
    """

    name: str
    title: str
    data: pd.DataFrame
    shown: pd.DataFrame
    notes: list

    def markdown(self):
        """The table as GitHub-flavoured Markdown."""
        header = [self.shown.index.name or "", *self.shown.columns]
        rows = [[name, *row] for name, row in zip(self.shown.index, self.shown.to_numpy().tolist(), strict=True)]
        lines = ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)]
        return "\n".join([f"**{self.title}**", "", *lines, "", *(f"- {note}" for note in self.notes)]) + "\n"

    def html(self):
        """The table as a section of a page."""

        def row(tag, cells):
            marks = ["", *(' class="measured"' if c.endswith(MEASURED) else "" for c in self.shown.columns)]
            cells = [
                f"<{tag if i else 'th'}{m}>{html.escape(c)}</{tag if i else 'th'}>"
                for i, (m, c) in enumerate(zip(marks, cells, strict=True))
            ]
            return f"<tr>{''.join(cells)}</tr>"

        head = row("th", [self.shown.index.name or "", *self.shown.columns])
        body = "\n".join(row("td", cells) for cells in self.shown.reset_index().to_numpy().tolist())
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f'<h2 id="{self.name}">{html.escape(self.title)}</h2>\n<div class="scroll"><table>\n<thead>{head}</thead>\n'
            f"<tbody>{body}</tbody>\n</table></div>\n<ul>{notes}</ul>\n"
        )

    def write(self, folder):
        """Writes NAME.csv, NAME.md and NAME.html into a folder.

        Returns:
            The paths.

        Raises:
            InputError: it cannot.
        """
        texts = {"csv": self.data.to_csv(index=False), "md": self.markdown(), "html": page(self.title, self.html())}
        paths = {suffix: Path(folder) / f"{self.name}.{suffix}" for suffix in texts}
        for suffix, text in texts.items():
            write_text(paths[suffix], text)
        return list(paths.values())


def page(title, content):
    """A whole HTML page that needs no other file."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{content}</main>\n</body>\n</html>\n"
    )


def section(path):
    """What stands inside a page that `page` made. Raises `InputError` if another program made it."""
    try:
        return Path(path).read_text(encoding="utf-8").split("<main>\n")[1].split("</main>")[0]
    except (OSError, UnicodeDecodeError, IndexError):
        raise InputError(f"{path} is not a page of hacnn_tf, or damaged: remove it and make it again.") from None

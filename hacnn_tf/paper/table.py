"""A table as people read it: CSV, Markdown and HTML from one pair of frames."""

import dataclasses
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from hacnn_tf.evaluation import PARTS
from hacnn_tf.utils.files import write_text
from hacnn_tf.utils.html import page
from hacnn_tf.utils.types import FilePath, Results

NOTHING = "–"
MEASURED = ("measured", "difference", "agrees with")  # columns that are ours, beside the paper's


def signed(value: float) -> str:
    """A difference with its sign and one decimal; what rounds to nothing is +0.0."""
    return f"{round(value, 1) + 0.0:+.1f}"


def markdown(shown: pd.DataFrame) -> str:
    """A `pandas.DataFrame` of str as a table of GitHub-flavoured Markdown, its index the first column."""
    header = [shown.index.name or "", *shown.columns]
    rows = [[name, *row] for name, row in zip(shown.index, shown.to_numpy().tolist(), strict=True)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


def parts_table(results: Mapping[str, Results]) -> str:
    """Rank-1/mAP of each part of the feature as Markdown, a line for each of the results of `evaluate_features`.

    A part that a network of one branch has not is left empty.
    """
    lines = [f"| | {' | '.join(PARTS)} |", "|---|---|---|---|"]
    for name, measures in results.items():
        found = [measures["single_query"].get(part) for part in PARTS]
        cells = [f"{x['rank1']:.1f}/{x['mAP']:.1f}" if x else "" for x in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


@dataclasses.dataclass
class Table:
    """A table and where it comes from.

    Attributes:
        name: of its files.
        title: for people.
        data: `pandas.DataFrame`, every number in full: the CSV.
        shown: `pandas.DataFrame` of str, as it is read; the index is the first column.
        notes: sentences below it.
        left_out: sentences on the runs that it is not made from, and why.
    """

    name: str
    title: str
    data: pd.DataFrame
    shown: pd.DataFrame
    notes: list[str]
    left_out: list[str] = dataclasses.field(default_factory=list)

    @property
    def _sentences(self) -> list[str]:
        return [*self.notes, *(f"Left out: {sentence}" for sentence in self.left_out)]

    def markdown(self, left_out: bool = True) -> str:
        """The table as GitHub-flavoured Markdown; `left_out=False` leaves off what was left out of it."""
        sentences = self._sentences if left_out else self.notes
        lines = [f"**{self.title}**", "", markdown(self.shown), "", *(f"- {sentence}" for sentence in sentences)]
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """The table as a section of a page."""

        def row(tag: str, cells: Sequence[str]) -> str:
            marks = ["", *(' class="measured"' if c.endswith(MEASURED) else "" for c in self.shown.columns)]
            cells = [
                f"<{tag if i else 'th'}{m}>{html.escape(c)}</{tag if i else 'th'}>"
                for i, (m, c) in enumerate(zip(marks, cells, strict=True))
            ]
            return f"<tr>{''.join(cells)}</tr>"

        head = row("th", [self.shown.index.name or "", *self.shown.columns])
        body = "\n".join(row("td", cells) for cells in self.shown.reset_index().to_numpy().tolist())
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self._sentences)
        return (
            f'<h2 id="{self.name}">{html.escape(self.title)}</h2>\n<div class="scroll"><table>\n<thead>{head}</thead>\n'
            f"<tbody>{body}</tbody>\n</table></div>\n<ul>{notes}</ul>\n"
        )

    def write(self, folder: FilePath) -> list[Path]:
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

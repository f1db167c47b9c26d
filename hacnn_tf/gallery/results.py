"""What a search found, for the terminal and as a page."""

import base64
import html
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pandas as pd
import PIL.Image

from hacnn_tf.data.decode import read_image
from hacnn_tf.gallery.naming import DISTANCE, FILE_COLUMNS, FIRST, IMAGES, LAST, PROBABILITY
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.html import page
from hacnn_tf.utils.text import aligned, printable

HEIGHT = 192  # pixels of an image on a page
STYLE = """<style>
.people { display: flex; flex-wrap: wrap; gap: .8rem; }
.people figure { width: 7.5rem; font-size: .8rem; overflow-wrap: anywhere; }
.people img { height: 12rem; width: 100%; object-fit: contain; background: #eef1f4; }
</style>
"""


def as_table(found: pd.DataFrame) -> pd.DataFrame:
    """What a search found as a table of texts, one row per image: rank, distance, probability, camera, time, path.

    There is a column of probabilities only if `Probabilities.add` gave them. Of tracks it has one row a track, with its
    name, its images and their times in the place of one time.
    """
    probabilities = {"probability": found[PROBABILITY].map("{:.3f}".format)} if PROBABILITY in found else {}
    known: dict[str, Callable[[Any], str]] = {"time": time_text}
    if {"track", LAST} <= set(found):  # a database without tracks may have a column of that name
        known = {"track": _text, IMAGES: str, FIRST: time_text, LAST: time_text}
    return pd.DataFrame(
        {
            "rank": [str(rank) for rank in range(1, len(found) + 1)],
            DISTANCE: found[DISTANCE].map("{:.3f}".format),
            **probabilities,
            "camera": [_text(camera) for camera in found.camid],
            **{name: [text(value) for value in found[name]] for name, text in known.items()},
            "path": [printable(path) for path in found.path],
        }
    )


def time_text(time: pd.Timestamp) -> str:
    """A time to the second; empty if it is missing."""
    return "" if pd.isna(time) else time.isoformat(" ", "seconds")


def as_text(found: pd.DataFrame) -> str:
    """What a search found, one line per image or track."""
    return aligned(as_table(found), str.rjust)


def as_page(database: str, searches: Iterable[tuple[Sequence[str], pd.DataFrame]], notes: Iterable[str] = ()) -> str:
    """A page with the images that were searched for and found, that needs no other file.

    Args:
        database: what was searched, for people.
        searches: list of (paths of the query's images, `pandas.DataFrame` of what was found).
        notes: sentences below.
    """
    title = f"People in {database}"
    parts = [f"{STYLE}<h1>{html.escape(title)}</h1>\n"]
    for number, (queries, found) in enumerate(searches, start=1):
        shown = "".join(_figure(path, "query", path) for path in queries)
        parts.append(f'<h2 id="query{number}">Query {number}</h2>\n<div class="people">{shown}</div>\n')
        figures = [_figure(path, *lines, path) for path, lines in zip(found.path, captions(found), strict=True)]
        parts.append(f'<h3>Nearest</h3>\n<div class="people">{"".join(figures)}</div>\n')
    parts += [f"<p>{html.escape(note)}</p>\n" for note in notes]
    return page(title, "".join(parts)).encode(errors="replace").decode()  # file names may be anything


def captions(found: pd.DataFrame) -> Iterator[list[str]]:
    """What stands below each image: lists of texts, the rank and distance first, then what else is known of it."""
    more = [name for name in found.columns if name not in {*FILE_COLUMNS, DISTANCE, PROBABILITY, "camid", "time"}]
    for i, line in enumerate(as_table(found).itertuples()):
        known = [f"probability {line.probability}" if PROBABILITY in found else ""]
        known += [f"camera {line.camera}" if line.camera else "", time_text(found.time[i])]
        known += [f"{name} {text}" for name in more if (text := _text(found[name][i]))]
        yield [f"{line.rank}. {line.distance}", *filter(None, known)]


def _text(value: Any) -> str:
    return "" if pd.isna(value) else printable(str(value))


def _figure(path: str, caption: str, *lines: str) -> str:
    text = "<br>".join(html.escape(line) for line in lines)
    return f"<figure>{_image(path)}<figcaption><b>{html.escape(caption)}</b><br>{text}</figcaption></figure>\n"


def _image(path: str) -> str:
    try:
        image = PIL.Image.fromarray(read_image(path))
    except InputError as reason:  # it was there when it was indexed
        return f"<p>{html.escape(str(reason))}</p>"
    image.thumbnail((2 * HEIGHT, HEIGHT))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}">'

"""A page to search a database by image, in a browser, made with Gradio."""

import contextlib
import os
import re
import string
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
import PIL.Image
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from hacnn_tf.data.augmentation import GREY
from hacnn_tf.data.decode import read_image
from hacnn_tf.gallery.audit import Audit, utc_now
from hacnn_tf.gallery.auth import Users, normal
from hacnn_tf.gallery.condition import sql_literal
from hacnn_tf.gallery.database import Database
from hacnn_tf.gallery.own_page import OwnPageOnly
from hacnn_tf.gallery.probabilities import Probabilities, limits, not_calibrated
from hacnn_tf.gallery.results import captions, time_text
from hacnn_tf.gallery.times import as_time
from hacnn_tf.reid import ReID
from hacnn_tf.utils.errors import InputError, NoImagesError
from hacnn_tf.utils.files import read_bytes
from hacnn_tf.utils.types import Pixels

UPLOAD_BYTES = 10 * 2**20
TOP = 20
KEPT = 3600  # seconds after which images that were shown are deleted, looked at as often
SHOWN_HEIGHT = 384  # pixels of an image that was found, at most
MATCH_NOTE = (
    "Above the query, below the match: the image, then at each of the three levels the four regions of hard "
    "attention (red, blue, green and violet, from head to lower legs) and the map of soft attention (dark least, "
    "bright most), as far as the network has them."
)
NO_QUERY = "Choose an image of a person first: drop it, upload it or paste it."
NO_LIMIT = "Re-ranked results have no probabilities: none is left out for being improbable."
NOTICE = (
    "This page shows faces and bodies of people, who have rights in their images: search only for what you have a "
    "reason to find."
)
CSS = """
#query img { height: 18rem; object-fit: contain; }
#found .grid-container { grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)) !important; }
#found .thumbnail-lg { display: flex; flex-direction: column; aspect-ratio: auto; height: auto; }
#found img { height: 12rem; object-fit: contain; }
#found .grid-wrap { max-height: none; }
#found .caption-label { position: static; max-width: 100%; white-space: pre-line; }
footer { display: none !important; }
"""
# For screen readers: Gradio calls what was found "Thumbnail 1 of 20", and has no words for text that changes.
SPOKEN = """() => {
  const name = () => {
    document.querySelectorAll('#found .thumbnail-item').forEach((item, i) => {
      const caption = item.querySelector('.caption-label');
      if (caption) item.setAttribute('aria-labelledby', caption.id = `found-${i + 1}`);
    });
    document.querySelector('#seen img')?.setAttribute('alt', 'where the network looks, in the query and in the match');
    for (const id of ['told', 'path', 'watched']) document.getElementById(id)?.setAttribute('aria-live', 'polite');
  };
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
}"""
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(  # no fonts from elsewhere
    button_primary_background_fill="*primary_700",  # white on it has a contrast of 5.2, on Gradio's of 2.8
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
    body_text_color_subdued="*neutral_500",
    block_info_text_color="*neutral_500",
)


def page(database: Database, model: ReID, audit: Audit) -> gr.Blocks:
    """The page.

    Args:
        database: a `Database`.
        model: the `ReID` whose features it holds.
        audit: what gets a line of each search.

    Returns:
        `gradio.Blocks`, to be given to `launch`.
    """
    answers = _Answers(database, model, audit)
    cameras, since_there, until_there, probable = _filters(database, model)
    with gr.Blocks(analytics_enabled=False, title="Find a person - hacnn_tf") as blocks:
        gr.Markdown(f"# Find a person\nin {_plain(database.path)}\n\n{NOTICE}")
        watched = gr.Markdown(elem_id="watched")
        leave = gr.Button("Log out", link="logout", size="sm", visible=False)
        found, selected = gr.State(None), gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                # The file as it was uploaded: what Gradio makes of it would be another image than the index has.
                query = gr.Image(
                    label="Query",
                    sources=["upload", "clipboard"],
                    type="filepath",
                    image_mode=None,
                    format="png",
                    elem_id="query",
                    buttons=[],
                    height=350,
                )
                vars(query)["preprocess"] = _uploaded
                camera = gr.Dropdown(multiselect=True, label="Cameras (all if none)", **cameras)
                since, until = gr.Textbox(label="From", **since_there), gr.Textbox(label="To", **until_there)
                top = gr.Slider(1, 100, TOP, step=1, label="Images to find")
                at_least = gr.Slider(0, 1, 0, step=0.05, label="Probability at least", **probable)
                rerank = gr.Checkbox(label="Re-rank", info="has no probabilities" if probable["visible"] else None)
                go = gr.Button("Search", variant="primary")
            with gr.Column(scale=3, min_width=320):
                with gr.Column(visible=False) as details:
                    caption = gr.Markdown(elem_id="path")
                    onwards = gr.Button("Search with this image")
                    seen = gr.Image(show_label=False, interactive=False, buttons=[], elem_id="seen")
                    gr.Markdown(MATCH_NOTE)
                told = gr.Markdown(elem_id="told")
                gallery = gr.Gallery(show_label=False, height="auto", allow_preview=False, buttons=[], elem_id="found")

        filters = [query, camera, since, until, top, at_least, rerank]
        private: dict[str, Any] = {"api_visibility": "private"}
        changes = (query.change, camera.change, rerank.change, top.release, at_least.release)
        outputs = [found, gallery, told, details]
        search = answers.search  # one object: of each function Gradio runs one call at a time
        for event in (*changes, go.click, since.submit, until.submit):
            done = event(search, filters, outputs, show_progress_on=gallery, **private)
            done.failure(lambda: (None, None, "", gr.update(visible=False)), None, outputs, **private)  # not another's
        shown = [selected, caption, seen, details]
        blocks.load(answers.filters_now, None, [camera, since, until, at_least], **private)
        blocks.load(answers.who, None, [watched, leave], **private)
        gallery.select(answers.select, [query, found], shown, show_progress_on=seen, scroll_to_output=True, **private)
        onwards.click(lambda image: image, selected, query, **private)
    return blocks


class _Answers:
    """What the page does when somebody asks; arguments as of `page`."""

    def __init__(self, database: Database, model: ReID, audit: Audit) -> None:
        self._database, self._model, self._audit = database, model, audit

    def search(
        self,
        image: str | None,
        cameras: list[int | str],
        since: str,
        until: str,
        top: float,
        at_least: float,
        reranked: bool,
        request: gr.Request,
    ) -> tuple:
        """The images that are nearest to an upload, as the filters say."""
        if image is None:
            return None, None, NO_QUERY, gr.update(visible=False)
        with _shown_errors():
            where = _condition(cameras, since, until)
            self._database.refresh()
            probabilities, note = (None, "") if reranked else Probabilities.find(self._database, self._model, where)
            content, less = read_bytes(image), 0
            feature = self._model.embed(content)

            def find() -> list[pd.DataFrame]:
                nonlocal less
                (rows,) = self._database.search(feature, where, int(top), reranked=reranked)
                if probabilities:
                    rows, less = probabilities.add(rows, at_least)
                return [rows]

            limit = at_least if probabilities else None
            asked = {"where": where, "top": int(top), "rerank": reranked, "at_least": limit}
            (rows,) = self._audit.run_search(find, [[content]], self._database.path, _user(request), asked)
            if reranked and at_least:
                note = NO_LIMIT
            elif not (reranked or probabilities or note):
                note = not_calibrated(self._database.path)
        notes = [*limits(len(rows), less, limit or 0, int(top)), note]
        return rows, _images(rows), _plain(" ".join(filter(None, notes))), gr.update(visible=False)

    def select(self, query: Any, rows: pd.DataFrame, event: gr.SelectData) -> tuple:
        """An image that was clicked, and what the network looks at in it and in the query."""
        with _shown_errors():
            row = rows.iloc[event.index]
            match = _read(row.path)
            drawn = None
            if query and self._model.network is not None:  # loads Keras, which a program does without
                from hacnn_tf.evaluation.drawing import attention_of

                images = [read_image(image, self._model.input_size) for image in (read_bytes(query), match)]
                drawn = attention_of(self._model.network, np.stack(images))
        shown = gr.update(value=drawn, visible=drawn is not None)
        return match, f"**{_plain(row.path)}**", shown, gr.update(visible=True)

    def filters_now(self) -> list[Any]:
        """The cameras and times that there are when the page is loaded, and whether there are probabilities."""
        with _shown_errors():
            self._database.refresh()
            return [gr.update(**options) for options in _filters(self._database, self._model)]

    def who(self, request: gr.Request) -> tuple:
        """Who has logged in, and whether searches are recorded."""
        said = [f"You are {_plain(normal(request.username))}."] if request.username else []
        said += ["Each search is written to an audit log."] if self._audit.path else []
        return " ".join(said), gr.update(visible=bool(request.username))


def launch(blocks: gr.Blocks, host: str, port: int, users: Users | None = None) -> str:
    """Serves a page until `blocks.close()`. No file but copies of what is shown, and uploads, is ever served.

    Args:
        blocks: of `page`.
        host: address to listen on.
        port: to listen on.
        users: who may log in; without them nobody has to, and with them nothing is served before.

    Returns:
        Its address.
    """
    _, address, _ = blocks.launch(
        server_name=host,
        server_port=port,
        auth=_reported(users) if users else None,  # no coroutine, which some versions of Gradio take for a yes
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=True,
        max_file_size=UPLOAD_BYTES,
        theme=THEME,
        css=CSS,
        js=SPOKEN,
        footer_links=[],
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        app_kwargs={"middleware": [Middleware(OwnPageOnly)]},
    )
    threading.Thread(target=_forget_hourly, args=(blocks,), daemon=True).start()
    return address


def _reported(users: Users) -> Callable[[str, str], bool]:
    """`Users.check`, with a line on standard error for each login that fails. A name of nobody may be a password."""

    def check(name: str, password: str) -> bool:
        if users.check(name, password):
            return True
        who = f"as {normal(name)}" if name in users else "by a name that nobody has"
        _report(f"A login {who} failed.")
        return False

    return check


def _report(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be closed
        print(f"{utc_now()} {line}", file=sys.stderr, flush=True)


def _forget_hourly(blocks: gr.Blocks) -> None:
    while blocks.is_running:
        time.sleep(KEPT)
        forget(blocks, KEPT)


def forget(blocks: gr.Blocks, age: float) -> None:
    """Deletes the images that were uploaded or shown more than `age` seconds ago, and the folders they leave empty.

    Gradio's `delete_cache` would end for good where somebody searches while it looks, and leaves the folders.
    """
    for paths in blocks.temp_file_sets:
        for path in list(paths):  # which is made at once: others add to them
            with contextlib.suppress(OSError, ValueError):
                if os.lstat(path).st_ctime < time.time() - age:
                    os.remove(path)
                    os.rmdir(os.path.dirname(path))
            if not os.path.lexists(path):
                paths.discard(path)


@contextlib.contextmanager
def _shown_errors() -> Iterator[None]:
    """Shows in the browser what went wrong, and on standard error all but that nobody was found."""
    try:
        yield
    except InputError as error:
        if not isinstance(error, NoImagesError):
            _report(str(error))
        raise gr.Error(str(error), print_exception=False) from None


def _uploaded(file: Any) -> str | None:
    """The path of an upload; raises `gradio.Error` if a request, which anybody can write, names another file.

    Gradio checks that only of requests which say that it is a file. It also opens the upload, and has no sentence for
    one that is damaged, or gone after an hour; the search has.
    """
    if file is None:
        return None
    try:
        folder, path = map(os.path.realpath, (get_upload_folder(), file.path or ""))
        if os.path.commonpath([folder, path]) == folder != path:
            return path
    except ValueError:  # of a path with a zero byte
        pass
    raise gr.Error("A query is an image that was uploaded to this page.", print_exception=False)


def _plain(text: str) -> str:
    """A text that Markdown shows as it is: paths may have its signs in them."""
    return re.sub(f"[{re.escape(string.punctuation)}]", r"\\\g<0>", text)


def _user(request: gr.Request) -> str | None:
    """Who has logged in, as the file of users has the name, however it was typed."""
    return normal(request.username) if request.username else None


def _condition(cameras: Sequence[int | str], since: str, until: str) -> str | None:
    """What the filters of the page say, as a condition of `Database.search`; None if they say nothing."""
    parts = []
    if cameras:
        parts.append(f"camid in ({', '.join(sql_literal(c) if isinstance(c, str) else str(c) for c in cameras)})")
    for text, name, sign in ((since, "From", ">="), (until, "To", "<=")):
        if text and text.strip():
            parts.append(f"time {sign} timestamp '{_time(text, name)}'")
    return " and ".join(parts) or None


def _time(text: str, name: str) -> str:
    """A time as a condition has it; a day alone is taken to its end by "To"."""
    try:
        time = as_time(text)
        if name == "To" and len(text.strip()) <= len("2026-11-24"):
            time += pd.Timedelta(days=1) - pd.Timedelta("1us")
        return time.isoformat(" ")
    except (ValueError, OverflowError):
        raise InputError(f"{name} is no time: write it as 2026-11-24 15:30.") from None


def _filters(database: Database, model: ReID) -> list[dict[str, Any]]:
    """What the filters show of a database: options of the cameras, From, To, and the least probability."""
    rows = database.rows(["camid", "time"])
    cameras, first, last = sorted(rows.camid.dropna().unique().tolist()), rows.time.min(), rows.time.max()
    return [
        {"choices": cameras, "visible": bool(cameras)},
        {"placeholder": time_text(first), "visible": not pd.isna(first)},
        {"placeholder": time_text(last if pd.isna(last) else last.ceil("s")), "visible": not pd.isna(last)},
        {"visible": Probabilities.find(database, model)[0] is not None},
    ]


def _images(rows: pd.DataFrame) -> list[tuple[PIL.Image.Image, str]]:
    """The images that were found, with their captions; a grey one in the place of what is not there any more."""
    return [(_small(_read(path)), "\n".join(lines)) for path, lines in zip(rows.path, captions(rows), strict=True)]


def _small(pixels: Pixels) -> PIL.Image.Image:
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((SHOWN_HEIGHT, SHOWN_HEIGHT))
    return image


def _read(path: str) -> Pixels:
    try:
        return read_image(path)
    except InputError:
        return np.full((2 * SHOWN_HEIGHT, SHOWN_HEIGHT, 3), GREY, np.uint8)

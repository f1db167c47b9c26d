"""Finds people in a database of indexed images.

    python -m hacnn_tf.search --database people.lance --query person.jpg
    python -m hacnn_tf.search --database people.lance --query person.jpg --at_least 0.9
    python -m hacnn_tf.search --database people.lance --query a.jpg --query b.jpg --one_person --html found.html \\
        --where "camid != 3 and time > timestamp '2026-11-24 08:00:00'"

Prints each query's nearest images by L2 distance of the features, nearest first; with --per track the nearest tracks,
each with its nearest image, its number of images, and when it begins and ends. A condition is one SQL expression over
the database's columns: path, camid, time and those of the manifest. Rows with a missing value fail every
comparison with it: "camid != 3" leaves out images without a camera, "camid is distinct from 3" does not.

If the database or its model is calibrated (python -m hacnn_tf.calibrate), each image has the probability that it shows
the person, assuming that one of the images compared does, or the share that --prior gives. There is none with --rerank,
--one_person and --per track, whose distances differ in kind.
"""

import shlex
import sys
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from hacnn_tf.data.decode import read_image
from hacnn_tf.data.parallel import read_each
from hacnn_tf.evaluation.calibration import check_prior
from hacnn_tf.gallery.audit import Audit, system_user
from hacnn_tf.gallery.naming import check_there
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import check_new_path, read_bytes, write_text
from hacnn_tf.utils.text import preview, printable
from hacnn_tf.utils.waiting import on_terminal

if TYPE_CHECKING:
    import pandas as pd

SLOW = (
    "Keras was loaded for this, which takes seconds. An export for ONNX Runtime answers sooner: write one with "
    "python -m hacnn_tf.export --run_dir {} --output FOLDER --format onnx, and search with --model FOLDER."
)
COMMAND = cli.Command(__doc__, "hacnn_tf.search")
COMMAND.group("Search")
COMMAND.define("path", "database", None, "what python -m hacnn_tf.index made")
COMMAND.define("string", "where", None, "search only where this condition holds, as in camid != 3")
COMMAND.define("integer", "top", 20, "images or tracks to find", lower_bound=1, upper_bound=10_000)
COMMAND.define("enum", "per", "image", "what to find; of tracks, all are compared", enum_values=["image", "track"])
COMMAND.define("boolean", "exact", False, "compare with all images, also in a large database")
COMMAND.define("boolean", "rerank", False, "order the nearest by k-reciprocal re-ranking")
COMMAND.define("float", "at_least", None, "leave out what is less probable, as 0.9", lower_bound=0, upper_bound=1)
COMMAND.define("float", "prior", None, "share of the images that show the person; by default one of them does")
COMMAND.group("Query")
COMMAND.define("multi_path", "query", None, "an image of a person; give it again for more")
COMMAND.define("boolean", "one_person", False, "all queries show one person, as a track: search for them together")
COMMAND.define("path", "model", None, "new location of the database's model, if it was moved")
COMMAND.group("Output")
COMMAND.define("path", "html", None, "also write a page with the images there, as .html; must not exist yet")
COMMAND.define("path", "audit", None, "log who searched for what to this file, before anything is shown")
COMMAND.require("database", "query")
ASKED = ("where", "top", "per", "exact", "rerank", "at_least", "prior")  # change what is found, and are audited


def main(flags: FlagValues) -> None:
    if flags.html:
        check_new_path(flags.html, suffix=".html")
    cli.check_apart(flags, "html", "audit")
    _check_probabilities(flags)
    check_there(flags.database)
    audit = Audit(flags.audit, COMMAND.name)
    read_each(flags.query, lambda i: read_image(flags.query[i]))

    from hacnn_tf.gallery import Database
    from hacnn_tf.gallery.probabilities import Probabilities, limits, not_calibrated
    from hacnn_tf.gallery.results import as_page, as_text
    from hacnn_tf.gallery.tracks import check_has_tracks, search_tracks

    database = Database(flags.database)
    database.check_condition(flags.where)
    if flags.per == "track":
        check_has_tracks(database)
    if database.outdated:
        print(database.outdated, file=sys.stderr)
    model = database.load_model(flags.model)
    queries = [flags.query] if flags.one_person else [[path] for path in flags.query]
    contents = [[read_bytes(path) for path in paths] for paths in queries]  # what is audited is what is searched for
    features = model.embed_tracks(contents) if flags.one_person else model.embed([content for (content,) in contents])
    database.refresh()  # an index run may have ended while the model was loaded
    probabilities, note = None, ""
    if not (flags.rerank or flags.one_person or flags.per == "track"):
        probabilities, note = Probabilities.find(database, model, flags.where, flags.prior)
        if not probabilities and (note or _asked(flags) or on_terminal()):
            none = note or not_calibrated(database.path)
            if asked := _asked(flags):
                raise InputError(f"{asked} cannot work. {none}")
            print(none, file=sys.stderr)
    less = [0] * len(queries)  # found, and left out

    def search() -> list["pd.DataFrame"]:
        if flags.per == "track":
            return search_tracks(
                database, features, flags.where, branches=model.branches, top=flags.top, reranked=flags.rerank
            )
        found = database.search(features, flags.where, flags.top, flags.exact, flags.rerank)
        if probabilities:
            for i, rows in enumerate(found):
                found[i], less[i] = probabilities.add(rows, flags.at_least or 0)
        return found

    how = {name: flags[name].value for name in ASKED} | {"html": bool(flags.html)}
    found = audit.run_search(search, contents, database.path, system_user(), how)
    notes = [note] if probabilities else []
    ends = [limits(len(rows), n, flags.at_least or 0, flags.top) for rows, n in zip(found, less, strict=True)]
    if flags.html:  # before anything is printed: who reads that may leave, as `| head` does
        all_notes = notes + [
            f"{preview(paths)}: {line}" for paths, end in zip(queries, ends, strict=True) for line in end
        ]
        page = as_page(database.path, list(zip(queries, found, strict=True)), all_notes)
        write_text(flags.html, page, private=True)
    for line in notes:
        print(line)
    for paths, rows, end in zip(queries, found, ends, strict=True):
        print("\n".join([f"{preview(paths)} in {database.path}:", as_text(rows), *end]))
    if flags.html:
        print(f"Page: {flags.html}")
    if model.network is not None and on_terminal():
        print(SLOW.format(printable(shlex.quote(flags.model or database.preset))), file=sys.stderr)


def _asked(flags: FlagValues) -> str:
    """The flag that asks for probabilities; empty if none does."""
    return next((f"--{name}" for name in ("at_least", "prior") if flags[name].value is not None), "")


def _check_probabilities(flags: FlagValues) -> None:
    """Raises `InputError` if probabilities are asked for that there cannot be."""
    others = {"--rerank": flags.rerank, "--one_person": flags.one_person, "--per track": flags.per == "track"}
    for other, given in others.items():
        if given and (asked := _asked(flags)):
            raise InputError(f"{asked} needs distances between two images, and {other} has others: leave one out.")
    if flags.prior is not None:
        check_prior(flags.prior)


if __name__ == "__main__":
    COMMAND.run(main)

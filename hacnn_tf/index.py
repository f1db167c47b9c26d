"""Indexes images of people: puts the features of a folder's images into a database, to be searched.

    python -m hacnn_tf.index --model runs/quickstart --images data/synthetic/detected/bounding_box_test \\
        --database people.lance
    python -m hacnn_tf.index --images more --database people.lance                  by the same model
    python -m hacnn_tf.index --database people.lance --list "camid = 3"
    python -m hacnn_tf.index --database people.lance --remove "camid = 3 and time < timestamp '2026-11-01 00:00:00'"
    python -m hacnn_tf.index --database people.lance --keep_days 30 --yes --audit audit.jsonl

Unchanged images are skipped, changed images and metadata replaced, unreadable images named. Other files, and images not
in the folder's manifest, are left out and counted by type. The same command resumes after a stop.

--remove permanently deletes rows: features and metadata. The image files are yours to delete (--list prints their
paths), and deleting a file leaves its row. It says how many of how many rows it would delete and asks; scripts add
--yes. Rows with a missing value fail every comparison with it: "camid != 3" does not match images without a camera.

--keep_days N likewise deletes images taken more than N times 24 hours ago: their own time, as the camera set it, is
compared with this machine's local time (TZ sets another). Images without a time are kept and counted.
"""

import datetime
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from hacnn_tf.export import find_export, keras_file, load_export, onnx, saved_model
from hacnn_tf.gallery.audit import Audit, utc_now
from hacnn_tf.gallery.lock import writing
from hacnn_tf.gallery.naming import SUFFIX, check_path, check_there
from hacnn_tf.gallery.retention import kept_anyway, older_than
from hacnn_tf.preset import FOR_USE, find_model
from hacnn_tf.reid import ReID
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import FormatError, InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.packages import check_installed
from hacnn_tf.utils.text import printable
from hacnn_tf.utils.types import FilePath

if TYPE_CHECKING:
    from hacnn_tf.gallery import Database

COMMAND = cli.Command(__doc__, "hacnn_tf.index")
COMMAND.group("Network")
COMMAND.define(
    "path",
    "model",
    None,
    f"to index: a run folder, an export, a preset's folder or name; by default the database's, of a new one {FOR_USE}",
)
COMMAND.define_precision()
COMMAND.define(
    "enum",
    "runtime",
    None,
    "what computes a folder of exports; by default ONNX Runtime, if installed, has its float32 file and no --precision",
    enum_values=["tensorflow", "onnx"],
)
COMMAND.group("Images")
COMMAND.define("path", "images", None, "to index: a folder of images, or a manifest (.csv, .parquet)")
COMMAND.define("string", "camera_pattern", None, "regular expression whose group finds the camera in an image's path")
COMMAND.define(
    "string", "track_pattern", None, "the same for its track: images of one person from one camera, in a row"
)
COMMAND.group("Database")
COMMAND.define("path", "database", None, f"where the features go, as in people{SUFFIX}")
COMMAND.define("string", "list", None, "print the paths of the rows that meet this SQL condition")
COMMAND.define("string", "remove", None, "permanently delete the rows that meet this SQL condition")
COMMAND.define(
    "integer",
    "keep_days",
    None,
    "permanently delete rows older than this many days",
    lower_bound=1,
    upper_bound=36_500,
)
COMMAND.define("boolean", "yes", False, "with --remove, --keep_days: do not ask")
COMMAND.define("path", "audit", None, "with --remove, --keep_days: a file that says what is, and was, deleted")
COMMAND.require("database")


def main(flags: FlagValues) -> None:
    check_path(flags.database)
    if flags.list is not None:
        _list(flags)
    elif flags.remove is None and flags.keep_days is None:
        _index(flags)
    else:
        _delete(flags)


def _index(flags: FlagValues) -> None:
    if flags.yes:
        raise InputError("--yes answers the question of --remove and --keep_days: leave it out.")
    if flags.audit:
        raise InputError("--audit records what --remove and --keep_days delete: leave it out.")
    cli.require(flags, "images")
    check_installed(["lancedb", "sqlglot"], "a database", "search")
    preset = flags.model or _usual_model(flags.database)
    find_model(preset)  # what is said later, if it is wrong, is said before a large folder is listed
    from hacnn_tf.gallery.images import find_images

    images, left_out = find_images(flags.images, flags.camera_pattern, flags.track_pattern)
    model = open_model(preset, flags.precision, flags.runtime)
    from hacnn_tf.gallery.indexing import index

    with writing(flags.database):
        index(model, images, flags.database, left_out)


def _usual_model(path: FilePath) -> str:
    """What made the features of a database; `FOR_USE` where there is none. Says which it is."""
    from hacnn_tf.gallery import Database

    try:
        check_there(path)
        database = Database(path)
    except FormatError:
        raise
    except InputError:  # there is none yet; or `index` says what is wrong
        preset = FOR_USE
    else:
        preset = database.find_preset()
    print(f"Features are those of {preset}.")
    return preset


def _list(flags: FlagValues) -> None:
    _check_alone(flags, "list")
    check_there(flags.database)
    from hacnn_tf.gallery.database import Database

    for path in Database(flags.database).rows(["path"], flags.list).path.sort_values():
        print(printable(path))


def _check_alone(flags: FlagValues, flag: str, *more: str) -> None:
    """Raises `InputError` if other flags are given than the one that says what to do, `--database` and `more`."""
    given = [name for name in flags if flags[name].value not in (None, False)]
    if others := [f"--{name}" for name in given if name not in (flag, "database", *more)]:
        allowed = ", ".join(f"--{name}" for name in ("database", *more))
        raise InputError(f"--{flag} goes with {allowed} alone: leave {' and '.join(others)} out.")


def _delete(flags: FlagValues) -> None:
    flag = "--keep_days" if flags.remove is None else "--remove"
    _check_alone(flags, flag.removeprefix("--"), "yes", "audit")
    check_there(flags.database)
    audit = Audit(flags.audit, COMMAND.name)
    from hacnn_tf.gallery.database import Database

    database = Database(flags.database)
    if flags.remove is not None:
        print(remove(database, flags.remove, flags.yes, audit))
        return
    now = datetime.datetime.now()  # local, as cameras' clocks are
    where = older_than(flags.keep_days, now)
    said = remove(database, where, flags.yes, audit, flag)
    print(f"{utc_now()} {where}: {said} {kept_anyway(database, now)}")


def remove(database: "Database", where: str, sure: bool, audit: Audit, flag: str = "--remove") -> str:
    """Deletes the images for which a condition holds; asks first, unless it is `sure`.

    Args:
        database: a `Database`.
        where: the condition.
        sure: nobody is asked.
        audit: what gets a line before anything is deleted, and one after; if there is nothing to delete, the latter.
        flag: what asks for it, for people.

    Returns:
        A sentence that says how many were deleted, and how many are left.

    Raises:
        InputError: the condition cannot be used, nobody said yes, or the first line of the audit cannot be written, and
            nothing is deleted then, nor if more match since somebody said yes, or another process goes on writing; or
            the deletion fails.
    """
    asked = 0
    if not sure:
        database.refresh()
        asked = database.count(where)
        if asked:  # a removal that was interrupted has had its yes
            _ask(flag, f"{asked:,} of {len(database):,} images from {database.path} for good")
    with writing(database.path):  # not while somebody thinks
        database.refresh()
        count, total = database.count(where), len(database)
        if not count and not database.removing:
            audit.removed(database.path, where, 0, total)
            database.tidy()  # what was replaced may have matched
            return f"None of the {total:,} images in {database.path} matches; nothing was deleted."
        if not sure and count > asked:
            raise InputError(f"Now {count:,} images match, not {asked:,}: nothing was deleted. Run it again.")
        audit.removing(database.path, where, count, total)
        count = database.remove(where)
        audit.removed(database.path, where, count, len(database))
        return f"{count:,} removed from {database.path}, {len(database):,} left."


def _ask(flag: str, what: str) -> None:
    """Raises `InputError` unless somebody at the terminal says yes to deleting this."""
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise InputError(f"{flag} would delete {what}: add --yes to do it without a question.")
    print(f"Delete {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.buffer.readline().strip().lower() not in (b"y", b"yes"):
        raise InputError("Nothing was deleted.")


def open_model(preset: FilePath, precision: str | None = None, runtime: str | None = None) -> ReID:
    """The `ReID` to index with; of a folder with exports for several runtimes, the one for `runtime`.

    Args:
        preset: as in `ReID.from_preset`.
        precision: dtype policy to compute in, as there; ONNX Runtime takes none.
        runtime: "tensorflow" or "onnx". By default ONNX Runtime, which starts at once and is faster on most CPUs, if it
            is installed and the folder has float32 for it; says so.

    Returns:
        A `ReID`.

    Raises:
        InputError: as `ReID.from_preset`; or the folder has nothing for this runtime.
    """
    place = Path(expanded(preset))
    found = None if (place / "config.json").exists() else find_export(place)  # a run folder or preset has one way
    file = place / onnx.FILE if place.is_dir() else place
    program = found is not None and file.suffix == ".onnx" and file.is_file()
    if runtime == "tensorflow" and found and found[0] not in (keras_file, saved_model):
        raise InputError(f"--runtime tensorflow needs a run, preset, Keras file or SavedModel, and {preset} is none.")
    if runtime == "onnx" and (precision or not program):
        raise InputError(
            f"--runtime onnx needs {file}, and no --precision: write it with hacnn_tf.export --format onnx."
        )
    asked = runtime == "onnx" or (runtime is None and not precision and importlib.util.find_spec("onnxruntime"))
    if program and place.is_dir() and asked:
        export = load_export(file)
        if runtime or export.precision == "float32":
            others = any((place / form.FILE).exists() for form in (keras_file, saved_model))
            more = "; --runtime tensorflow takes TensorFlow, also on a GPU" if others else ""
            print(f"Computed by ONNX Runtime on the CPU{more}.")
            return ReID(str(file), export)
    return ReID.from_preset(preset, precision)


if __name__ == "__main__":
    COMMAND.run(main)

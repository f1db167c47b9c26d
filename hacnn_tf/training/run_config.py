"""`config.json` of a run folder: what is trained, on which images, and by which code."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hacnn_tf.training.code import code_here
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.settings import FLAGS, Settings
from hacnn_tf.utils.errors import FormatError, InputError
from hacnn_tf.utils.files import check_format, write_json
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import TEST_SPLITS, FilePath

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset

FORMAT = 2  # of a run folder; raised when older code would misread a newer one
FORMER_RECIPES = {"constant": "paper", "paper": "adamw"}  # what was called what before there was a format


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """What a `config.json` says; its fields are attributes of `RunFolder`, which explains them."""

    settings: Settings
    dataset_name: str
    fingerprint: str
    tested: str | None
    num_identities: int
    initial: str | None
    data_root: str | None
    init_from: str | None
    code: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "RunConfig":
        """Reads a file. Raises `InputError` if it is damaged, `FormatError` if only other code can read it."""
        try:
            content = json.loads(path.read_text())
            check_format(path, content.get("format"), FORMAT)
            _check_known(path, content)
            if content.get("format") is None:  # before there was one, there was but one decoder
                for part in (content, *content.get("then", ())):
                    part.setdefault("pixels", 1)
            config = cls(
                settings=Settings.from_flags(_flags(content)),
                dataset_name=content["dataset"],
                fingerprint=content["fingerprint"],
                tested=content.get("tested"),
                num_identities=content["num_identities"],
                initial=content.get("initial"),
                data_root=content.get("places", {}).get("data_root"),
                init_from=content.get("places", {}).get("init_from"),
                code=[_code(content), *({**part, **_code(part)} for part in content.get("then", ()))],
            )
            if not (type(config.num_identities) is int and config.num_identities > 0):
                raise ValueError(f"num_identities is {config.num_identities!r}")
            for place in ("data_root", "init_from"):
                if not isinstance(getattr(config, place), str | None):
                    raise ValueError(f"{place} is {getattr(config, place)!r}")
            for name, kind in (("revision", str), ("device", str), ("pixels", int)):
                if not all(isinstance(code[name], kind | None) for code in config.code):
                    raise ValueError(f"a {name} is no {'text' if kind is str else 'number'}")
            return config
        except FormatError:
            raise
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise InputError(f"{path} is damaged: {error}.") from None
        except InputError as error:
            raise InputError(f"{path} is damaged, or of a training that only other code allows: {error}") from None

    @property
    def revision(self) -> str | None:
        """The git revisions of its `code`, for people; None if it names none."""
        revisions = [code["revision"] for code in self.code]
        return ", then ".join(map(str, dict.fromkeys(revisions))) if any(revisions) else None


def write_config(
    path: FilePath, settings: Settings, dataset: "ReidDataset", initial: str | None, places: Mapping[str, Any]
) -> None:
    """Writes the file of a training that begins. Arguments as of `RunFolder.opened`."""
    write_json(
        path,
        {
            "format": FORMAT,
            "settings": settings.to_flags(),
            "places": dict(places),
            "dataset": dataset.name,
            "fingerprint": dataset.fingerprint(),
            "tested": dataset.fingerprint(TEST_SPLITS),
            "num_identities": dataset.split("train").pid.nunique(),
            "initial": initial,
            **code_here(),
        },
    )


def go_on(path: Path, before: list[dict[str, Any]], epoch: int, step: int) -> list[dict[str, Any]]:
    """What `code` is when this code goes on after so many whole epochs, and steps of the next; writes it if it is new.

    What computed from there on before is dropped: its steps are taken again.
    """
    here = code_here()
    code = [part for part in before if (part.get("epoch", 0), part.get("step", 0)) < (epoch, step)]
    if not code:
        code = [here]
    elif _code(code[-1]) != here:
        code.append({"epoch": epoch, "step": step, **here})
    if code != before:
        write_json(path, json.loads(path.read_text()) | code[0] | {"then": code[1:]})
    return code


def _code(content: Mapping[str, Any]) -> dict[str, Any]:
    """What of a `config.json`, or a part of it, says how it was computed."""
    added = {name: content.get(name) for name in ("pixels", "device")}  # since there were run folders
    return {"versions": dict(content["versions"]), "revision": content["revision"], **added}


def _check_known(path: Path, content: Mapping[str, Any]) -> None:
    """Raises `FormatError` for a run by code that has other recipes or flags than this."""
    flags = _flags(content)
    unknown = [f"--{name}" for name in flags if name not in FLAGS]
    if flags["recipe"] not in RECIPES:
        unknown.insert(0, f"--recipe {flags['recipe']}")
    if unknown:
        code = content["revision"] or f"hacnn_tf {content['versions']['hacnn_tf']}"
        raise FormatError(
            f"{path.parent} was trained with {preview(unknown)}, which this code does not have: use the code that "
            f"trained it, {code}, or add them."
        )


def _flags(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings in a `config.json`, by today's names of recipes."""
    if content.get("format") is not None:
        return content["settings"]
    former = content["settings"].get("recipe", "constant")  # at first there was but one, without a name
    return content["settings"] | {"recipe": FORMER_RECIPES.get(former, former)}

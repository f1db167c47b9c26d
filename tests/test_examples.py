"""What the pages and docstrings show, run as shown; and the commands that pages name, parsed as typed."""

import doctest
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from itertools import takewhile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from hacnn_tf import index
from hacnn_tf.data import synthetic
from hacnn_tf.data.dataset import Counts
from hacnn_tf.export import FORMATS
from hacnn_tf.utils.cli import parse
from tests.conftest import renumber

HERE = Path(__file__).parents[1]
README = HERE / "README.md"
DOCS = sorted(HERE.glob("docs/**/*.md"))
COMMAND_PAGES = [
    "REPRODUCE.md",
    "CONTRIBUTING.md",
    "data/README.md",
    "benchmarks/*.md",
    "experiments/measured/README.md",
    "hacnn_tf/presets/*/README.md",
]
FENCE = re.compile(r"^( *)```(\w*)[^\n`]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SHELLS = ("bash", "sh", "shell", "console")
GIVEN = {  # what a page's blocks may use as their reader's own
    "frame": np.zeros((480, 640, 3), np.uint8),
    "boxes": [[10, 20, 60, 150], [300.5, 9, 351, 140]],
    "images": np.zeros((2, 160, 64, 3), np.uint8),
}
DOCSTRINGS = [path for path in sorted(HERE.glob("hacnn_tf/**/*.py")) if ">>> " in path.read_text()]


def blocks(text, languages):
    """The fenced blocks of a page: the line before each, from 1, and its code."""
    found = [match for match in FENCE.finditer(text) if match[2] in languages]
    return [(text.count("\n", 0, match.start(3)), textwrap.dedent(match[3])) for match in found]


def python(page):
    return blocks(page.read_text(), ("python", "py"))


def of_page(path):
    return str(path.relative_to(HERE))


@pytest.fixture(scope="module")
def quickstart(small_run, small_data_root, tmp_path_factory):
    """A folder with what the quickstart makes, but small; its persons are numbered as there, from 201 to test on."""
    folder = tmp_path_factory.mktemp("quickstart")
    shutil.copytree(small_data_root / "synthetic", folder / "data/synthetic")
    renumber(folder / "data/synthetic", synthetic.TRAIN_IDENTITIES - 6)
    shutil.copytree(small_run, folder / "runs/quickstart")
    return folder


@pytest.fixture(scope="module")
def exports(quickstart, exported, programs):
    """The same folder, with all formats in exports/all."""
    for folder in (exported, *(programs(form).parent for form in FORMATS.keys() - {"keras", "saved_model"})):
        shutil.copytree(folder, quickstart / "exports/all", dirs_exist_ok=True)
    return quickstart


@pytest.fixture(scope="module")
def database(quickstart):
    """The same folder, with the database of the quickstart."""
    pytest.importorskip("lancedb")
    images, path = "data/synthetic/detected/bounding_box_test", "databases/quickstart.lance"
    args = [f"--model={quickstart}/runs/quickstart", f"--images={quickstart}/{images}"]
    index.COMMAND.run(index.main, ["index", *args, f"--database={quickstart}/{path}"])
    return quickstart


@pytest.fixture
def workplace(quickstart, tmp_path, monkeypatch, request):
    """A function that makes a new folder to run some code in, with what of the quickstart's the code names."""

    def enter(code):
        for name, fixture in (("exports/all", "exports"), ("databases/quickstart.lance", "database")):
            if name in code:
                shutil.copytree(request.getfixturevalue(fixture) / name, tmp_path / name)
        shutil.copytree(quickstart / "runs/quickstart", tmp_path / "runs/quickstart")
        (tmp_path / "data").mkdir()
        os.symlink(quickstart / "data/synthetic", tmp_path / "data/synthetic")
        image = tmp_path / "data/synthetic/detected/query/0201_c1_1.jpg"
        for name in ("person.jpg", "a.jpg"):
            shutil.copy(image, tmp_path / name)
        PIL.Image.open(image).save(tmp_path / "b.png")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(synthetic, "COUNTS", dict.fromkeys(synthetic.COUNTS, Counts()))  # it is not all there

    return enter


def test_the_readme_has_examples():
    """And the page that it sends to for other runtimes."""
    assert len(python(README)) >= 2 and len(python(HERE / "docs/deploying.md")) >= 6


@pytest.mark.parametrize("page", [page for page in (README, *DOCS) if python(page)], ids=of_page)
def test_the_blocks_of_a_page(page, workplace):
    """One after the other, as a reader would type them."""
    workplace("".join(code for _, code in python(page)))
    names = {**GIVEN, "__name__": "__main__"}
    for line, code in python(page):
        if not BACKEND.search(code):
            exec(compile("\n" * line + code, page, "exec"), names)  # an error names the page and its line


BACKEND = re.compile(r'^os\.environ\["KERAS_BACKEND"\] = "(\w+)"', re.MULTILINE)
UNDER_BACKENDS = [
    pytest.param(page, line, code, found[1], id=f"{of_page(page)}:{line}-{found[1]}")
    for page in (README, *DOCS)
    for line, code in python(page)
    if (found := BACKEND.search(code))
]


def test_there_are_examples_of_other_backends():
    assert {param.values[-1] for param in UNDER_BACKENDS} == {"torch", "jax"}


@pytest.mark.slow
@pytest.mark.parametrize(("page", "line", "code", "backend"), UNDER_BACKENDS)
def test_a_block_that_sets_keras_to_another_backend(page, line, code, backend, workplace):
    """Each stands for itself: it is a program of its own, as a backend is chosen once."""
    pytest.importorskip(backend)
    workplace(code)
    Path("block.py").write_text("\n" * line + code)
    done = subprocess.run([sys.executable, "block.py"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, f"{page}: {done.stderr[-3000:]}"


@pytest.mark.parametrize("path", DOCSTRINGS, ids=of_page)
def test_the_examples_of_docstrings(path, workplace):
    """Those of a module share their names; a class comes before its methods."""
    workplace(path.read_text())
    module = importlib.import_module(".".join(path.relative_to(HERE).with_suffix("").parts).removesuffix(".__init__"))
    names = {**GIVEN, "np": np, "bytes_of_a_jpeg": Path("a.jpg").read_bytes()}
    runner, tried = doctest.DocTestRunner(), 0
    for test in doctest.DocTestFinder().find(module):
        test.globs = names
        result = runner.run(test, clear_globs=False)
        tried += result.attempted
        assert not result.failed
    assert tried == path.read_text().count(">>> ")


def commands(text):
    """The lists of arguments, from the module on, of all `python -m hacnn_tf.COMMAND` in a page's code."""
    text = text.replace("\\\n", " ")
    outside = FENCE.sub("", text)
    lines = [line for _, code in blocks(text, SHELLS) for line in code.splitlines()]
    lines += re.findall(r"^    +python -m .*", outside, re.MULTILINE)
    lines += [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", outside)]
    typed = [part for line in lines for part in line.split("python -m ")[1:]]
    return [arguments(part) for part in typed if re.match(r"hacnn_tf\.[a-z]", part)]


def arguments(line):
    """The words of a command, up to a pipe and the like; a variable of the shell stands for a number."""
    lexer = shlex.shlex(re.sub(r" \d>", " >", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = takewhile(lambda word: not word or set(word) - set("|&;<>()"), lexer)
    return [re.sub(r"\$\w+|\$\{\w+\}", "1", word) for word in words]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('train --run_dir "$HOME/runs/a b" --seed ${seed} 2> log', ["train", "--run_dir", "1/runs/a b", "--seed", "1"]),
        ("index --remove \"time < '2026' | x\" # don't", ["index", "--remove", "time < '2026' | x"]),
        ("train --dataset=a,b --nospatial&& echo", ["train", "--dataset=a,b", "--nospatial"]),
        ("check --camera_pattern '(c[0-9])' '' | tee log", ["check", "--camera_pattern", "(c[0-9])", ""]),
    ],
)
def test_how_a_command_is_read(line, words):
    assert arguments(line) == words


@pytest.mark.parametrize(
    "page", [README, *DOCS, *(page for name in COMMAND_PAGES for page in sorted(HERE.glob(name)))], ids=of_page
)
def test_the_commands_of_a_page(page):
    """Each is there and takes these flags, with these values."""
    found = commands(page.read_text())
    assert found or page != README
    for name, *args in found:
        try:
            module = importlib.import_module(f"{name}.__main__")
        except ModuleNotFoundError:
            module = importlib.import_module(name)
        if "--help" not in args:
            parse(module.COMMAND.values, [name, *args])


def test_flags_that_pages_speak_of_are_there():
    """Bare ones in code spans, as in `--eval_every`, of whichever command."""
    names = [path.stem for path in HERE.glob("hacnn_tf/*.py") if "COMMAND = " in path.read_text()]
    flags = {"help"}
    for name in (*names, "export.__main__"):
        values = importlib.import_module(f"hacnn_tf.{name}").COMMAND.values
        flags |= {*values, *(f"no{flag}" for flag in values if values[flag].boolean)}
    spoken = {}
    for page in (README, *DOCS, HERE / "REPRODUCE.md", HERE / "data/README.md", HERE / "CONTRIBUTING.md"):
        for flag in re.findall(r"`--([a-z_]+)", page.read_text()):
            spoken.setdefault(flag, page)
    assert len(spoken) > 30
    assert {flag: of_page(page) for flag, page in spoken.items() if flag not in flags} == {}


LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TRACKED = subprocess.run(["git", "-C", HERE, "ls-files", "*.md"], capture_output=True, text=True).stdout.split()


def anchors(page):
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TRACKED)
def test_links_of_a_page_lead_somewhere(name):
    """Those to other pages and files, with their anchors; no site is asked."""
    page = HERE / name
    for link in LINK.findall(re.sub(r"`[^`]+`", "", FENCE.sub("", page.read_text()))):
        if not link.startswith(("https://", "http://")):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


REVISIONS = re.compile(r"revisions? ([0-9a-f]{7}\b(?:(?:,| and|:) [0-9a-f]{7}\b)*)|\| ([0-9a-f]{7}) \|\n")


def test_revisions_that_pages_name_are_there():
    """So that a figure's code can be looked at: "revision 1226254", also in lists and in the last column of tables."""
    history, pages = (
        subprocess.run(["git", "-C", HERE, *args], capture_output=True, text=True).stdout.split()
        for args in (["log", "--format=%H"], ["ls-files", "*.md"])
    )
    if len(history) < 100:
        pytest.skip("the history is not whole here")
    named = {
        revision: page
        for page in pages
        for found in REVISIONS.findall((HERE / page).read_text())
        for revision in re.findall("[0-9a-f]{7}", " ".join(found))
    }
    known = {commit[:7] for commit in history}
    assert len(named) > 20
    assert {revision: page for revision, page in named.items() if revision not in known} == {}

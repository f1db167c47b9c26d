"""What a run folder says of what computed it: the revision of its own checkout and no other, and the device."""

import re
import subprocess

import pytest

from hacnn_tf.training import code

revision_now = code.code_revision.__wrapped__  # a command asks once


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout with one commit, and a module in it, which nobody has added yet."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    module = tmp_path / "package/training/code.py"
    module.parent.mkdir(parents=True)
    module.touch()
    monkeypatch.setattr(code, "__file__", str(module))

    def commit(*paths):
        subprocess.run([*git, "init", "--quiet"], check=True)
        subprocess.run([*git, "add", *map(str, paths)], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
        described = subprocess.run([*git, "describe", "--always"], check=True, capture_output=True, text=True)
        return described.stdout.strip()

    return commit, module


def test_that_of_its_checkout(checkout):
    commit, module = checkout
    revision = commit(module)
    assert revision_now() == revision
    found = set()
    for change in ("changed", "changed otherwise"):
        module.write_text(change)
        assert re.fullmatch(rf"{revision}-dirty-[0-9a-f]{{6}}", revision_now())
        found.add(revision_now())
    (module.parent / "new.py").write_text("a new module")
    found.add(revision_now())
    (module.parent / "notes.txt").write_text("no code")
    assert len(found) == 3 and revision_now() in found


def test_a_new_module_alone_is_told_by_its_content(checkout):
    commit, module = checkout
    revision, found = commit(module), set()
    for content in ("a new module", "another"):
        (module.parent / "new.py").write_text(content)
        assert re.fullmatch(rf"{revision}-dirty-[0-9a-f]{{6}}", revision_now())
        found.add(revision_now())
    assert len(found) == 2


def test_what_is_staged_is_not_committed(checkout):
    commit, module = checkout
    commit(module)
    module.write_text("changed")
    before = revision_now()
    subprocess.run(["git", "-C", str(module.parent), "add", str(module)], check=True)
    assert revision_now() == before


def test_what_is_changed_beside_the_package_has_no_digest(checkout):
    commit, module = checkout
    beside = module.parents[2] / "page.md"
    beside.touch()
    revision = commit(module, beside)
    beside.write_text("changed")
    assert revision_now() == f"{revision}-dirty"


def test_none_where_there_is_no_checkout(checkout):
    assert revision_now() is None


def test_none_where_it_is_installed_below_a_checkout_of_something_else(checkout):
    commit, _ = checkout
    commit()
    assert revision_now() is None


def test_none_where_there_is_no_git(checkout, tmp_path, monkeypatch):
    commit, module = checkout
    commit(module)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision_now() is None


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        (["NVIDIA H200", "NVIDIA H200"], "NVIDIA H200"),
        (["NVIDIA H200", "Tesla T4", None], "NVIDIA H200 and Tesla T4 and GPU"),
        ([], code.processor()),
    ],
)
def test_the_device_is_the_kinds_of_gpu_or_the_processor(monkeypatch, gpus, expected):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: gpus if kind == "GPU" else ["CPU"])
    details = "tensorflow.config.experimental.get_device_details"
    monkeypatch.setattr(details, lambda gpu: {"device_name": gpu} if gpu else {})
    assert code.device() == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [("cores : 2\nmodel name\t: A B\n", "A B"), ("CPU part\t: 1\n", "aarch64"), (None, "aarch64")],
)
def test_a_processor_without_a_name_is_its_architecture(monkeypatch, tmp_path, lines, expected):
    """Systems other than Linux have no such file."""
    monkeypatch.setattr(code, "CPUINFO", tmp_path / "cpuinfo")
    if lines:
        code.CPUINFO.write_text(lines)
    monkeypatch.setattr(code.platform, "machine", lambda: "aarch64")
    assert code.processor() == expected

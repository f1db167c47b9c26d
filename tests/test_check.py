"""`hacnn_tf.check`: faults put into a dataset, and each found; nothing found where there is nothing."""

import shutil

import pandas as pd
import pytest
from PIL import Image

from hacnn_tf import check
from hacnn_tf.data import read_dataset
from tests.conftest import command, fails
from tests.data.test_cuhk03 import IDENTITIES, write_mat


@pytest.fixture
def data_root(small_data_root, tmp_path):
    shutil.copytree(small_data_root, tmp_path / "data")
    return tmp_path / "data"


def problems(data_root, *flags):
    """What the command writes, as a dict from (problem, file name) to detail, and the sentence it ends with."""
    output = data_root.parent / "problems.csv"
    output.unlink(missing_ok=True)
    sentence = fails(check, [f"--data_root={data_root}", f"--output={output}", *flags])
    rows = pd.read_csv(output).itertuples(index=False)
    return {(row.problem, row.path.rpartition("/")[2]): row.detail for row in rows}, sentence


def test_a_dataset_without_faults(data_root, capsys):
    command(check, f"--data_root={data_root}", "--allow_subset")
    assert capsys.readouterr().out.endswith("96 images, nothing wrong.\n")


def test_a_part_of_a_dataset_is_read_and_said_to_be_one(data_root):
    found, sentence = problems(data_root)
    assert list(found) == [("incomplete", "data")]
    assert "48 train images instead of 1,600" in found["incomplete", "data"]
    assert sentence == "hacnn_tf.check: 1 problem among 96 images of synthetic, detected boxes: 1 incomplete."


def test_of_several_datasets_each_says_what_it_lacks(data_root):
    shutil.copytree(data_root / "synthetic/detected", data_root / "Market-1501-v15.09.15")
    args = [f"--data_root={data_root}", "--dataset=synthetic,market1501", f"--output={data_root}/problems.csv"]
    assert ", 2 incomplete." in fails(check, args)
    lacking = pd.read_csv(data_root / "problems.csv").detail.iloc[:2]
    assert lacking.str.contains("instead of 1,600").tolist() == [True, False]
    assert lacking.str.contains("instead of 12,936").tolist() == [False, True]


def test_every_fault_is_found(data_root):
    folder = data_root / "synthetic" / "detected"
    train = folder / "bounding_box_train"
    (train / "0001_c1_1.jpg").write_bytes(b"")
    (train / "0001_c1_2.jpg").write_bytes((train / "0001_c1_2.jpg").read_bytes()[:200])
    Image.new("RGB", (64, 128), "red").save(train / "0001_c2_1.jpg", "GIF")
    Image.open(train / "0002_c1_1.jpg").convert("L").save(train / "0002_c1_1.jpg")
    Image.open(train / "0002_c1_2.jpg").resize((12, 30)).save(train / "0002_c1_2.jpg")
    Image.open(train / "0002_c2_1.jpg").resize((65, 64)).save(train / "0002_c2_1.jpg")
    shutil.copy(train / "0003_c1_1.jpg", train / "0004_c1_1.jpg")
    # Neither too small nor the same image, though both are as many pixels of one colour.
    for name, size in (("0005_c1_1.jpg", (16, 50)), ("0006_c1_1.jpg", (20, 40))):
        Image.new("RGB", size, "red").save(train / name)
    (folder / "query" / "nested").mkdir()
    shutil.copy(train / "0003_c2_1.jpg", folder / "query" / "nested" / "0003_c9_1.jpg")
    (train / "0098_c1_1.heic").touch()
    (folder / "query" / "Thumbs.db").touch()
    for path in folder.glob("bounding_box_test/0008_*"):
        path.rename(path.with_name(path.name.replace("0008", "0099")))
    found, sentence = problems(data_root, "--allow_subset")
    details = {
        ("broken", "0001_c1_1.jpg"): "empty file",
        ("broken", "0001_c1_2.jpg"): "damaged or truncated image",
        ("mode", "0001_c2_1.jpg"): "P, used as RGB",
        ("mode", "0002_c1_1.jpg"): "L, used as RGB",
        ("size", "0002_c1_2.jpg"): "12×30 (width×height): below 16 pixels",
        ("size", "0002_c2_1.jpg"): "65×64 (width×height): wider than high",
        ("not in protocol", "0003_c9_1.jpg"): "no split has it",
        ("no image", "0098_c1_1.heic"): "identity 98 has no image, only 1 .heic",
        **{
            ("no match", f"0008_c{camera}_1.jpg"): "the gallery does not have its identity under another camera"
            for camera in range(1, 5)
        },
    }
    twin = found.pop(("two identities", "0004_c1_1.jpg"))
    assert twin.startswith("the same pixels as ") and twin.endswith("0003_c1_1.jpg, another identity")
    assert found == details
    assert "13 problems among 96 images" in sentence and "2 broken" in sentence


def test_files_that_are_no_images_are_counted_and_nothing_wrong(data_root, capsys):
    for part in (data_root / "synthetic" / "detected").iterdir():
        for name in ("Thumbs.db", "._0001_c1_1.jpg", "0001_c1_1.heic", "0001_c1_1.TXT"):
            (part / name).touch()
    command(check, f"--data_root={data_root}", "--allow_subset")
    printed = capsys.readouterr().out
    assert "\nleft out: 3 .heic, 3 .txt\n" in printed and printed.endswith("96 images, nothing wrong.\n")


def test_what_the_table_does_not_show_is_counted(data_root, capsys):
    train = sorted((data_root / "synthetic/detected/bounding_box_train").iterdir())
    for path in train[:30]:
        path.write_bytes(b"")
    shutil.copy(train[30], train[-1])
    args, output = [f"--data_root={data_root}", "--allow_subset"], data_root.parent / "all.csv"
    for more, pointer in (([], "--output FILE.csv writes all"), ([f"--output={output}"], f"see {output}")):
        with pytest.raises(SystemExit):
            command(check, *args, *more)
        printed = capsys.readouterr().out
        assert printed.count("empty file") == 10 and printed.count("two identities") == 1
        assert printed.endswith(f"\nand 20 more: {pointer}\n")
    assert pd.read_csv(output).problem.value_counts().to_dict() == {"broken": 30, "two identities": 1}
    written = output.read_bytes()
    said = fails(check, [*args[1:], f"--output={output}"])
    assert "exists: remove it or name another output" in said and output.read_bytes() == written


def test_a_copy_under_another_camera_is_found(data_root):
    gallery = data_root / "synthetic/detected/bounding_box_test"
    train = data_root / "synthetic/detected/bounding_box_train"
    shutil.copy(train / "0001_c1_1.jpg", train / "0001_c2_9.jpg")  # no query can find it
    for copy in ("0007_c2_9.jpg", "0007_c1_9.jpg"):  # the second is of the camera that took it
        shutil.copy(gallery / "0007_c1_2.jpg", gallery / copy)
    found, _ = problems(data_root, "--allow_subset")
    ((problem, name), detail) = found.popitem()
    assert (problem, found) == ("copy", {}) and name == "0007_c2_9.jpg"
    assert detail.endswith("0007_c1_2.jpg, which a query may find as a match under another camera")


def test_a_size_that_no_other_image_has(tmp_path):
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        folder = tmp_path / "market1501" / part
        folder.mkdir(parents=True)
        for i in range(10):
            colour = (10 * i, len(part), 0)
            Image.new("RGB", (64, 128), colour).save(folder / f"000{1 + i % 2}_c{part == 'query':d}s1_{i}.png")
    Image.new("RGB", (64, 127), "blue").save(tmp_path / "market1501" / "query" / "0002_c1s1_9.png")
    found, _ = problems(tmp_path, "--dataset=market1501", "--allow_subset")
    assert found["size", "0002_c1s1_9.png"] == "64×127 (width×height): others are 64×128"


def test_images_inside_cuhk03s_mat(tmp_path):
    (tmp_path / "cuhk03").mkdir()
    images = [(1, identity, view) for identity in (1, 2) for view in (1, 6)]
    write_mat(tmp_path / "cuhk03" / "cuhk-03.mat", images, IDENTITIES, [[(1, 1)]])
    found, sentence = problems(tmp_path, "--dataset=cuhk03", "--split=1367_100", "--allow_subset")
    assert set(found.values()) == {"4×6 (width×height): below 16 pixels"}
    assert "4 problems among 4 images" in sentence


def test_a_person_who_is_trained_on_and_searched_for(data_root):
    folder = data_root / "synthetic/detected"
    trained = min((folder / "bounding_box_train").iterdir())
    query = min((folder / "query").iterdir())
    trained.rename(trained.with_name(query.name[:4] + trained.name[4:]))
    found, sentence = problems(data_root, "--allow_subset")
    assert found == {("trained and tested", query.name): "its identity is in train and in query"}
    assert "1 problem among 96 images" in sentence
    summary = read_dataset("synthetic", data_root, allow_subset=True).summary()
    assert "\nidentities both in train and in query: 1; a network that is trained on them" in summary


def test_what_cannot_be_read_at_all(tmp_path):
    assert "CUHK03 not found" in fails(check, ["--dataset=cuhk03", f"--data_root={tmp_path}"])


def test_real_images(shared_data, capsys):
    command(check, "--dataset=cuhk03", f"--data_root={shared_data}")
    assert capsys.readouterr().out.endswith("14,097 images, nothing wrong.\n")

"""Pictures: what is drawn where, with an untrained network and persons of one flat colour, a shade a camera."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.evaluation import drawing
from hacnn_tf.models import HACNN
from hacnn_tf.utils.errors import InputError

COLOURS = {1: (200, 40, 40), 2: (40, 200, 40), 3: (40, 40, 200)}  # of the persons before camera 2
JUNK = (128, 128, 128)
CELL = (64 * 2 + 8, 160 * 2 + 8)  # from one picture to the next, in pixels


@pytest.fixture
def dataset(tmp_path):
    """Three persons before three cameras, a query and two gallery images each; one image of junk."""

    def save(colour, *name):
        path = tmp_path / ("_".join(map(str, name)) + ".png")
        Image.new("RGB", (64, 160), colour).save(path)
        return str(path)

    views = [(pid, camid) for pid in COLOURS for camid in (1, 2, 3)]
    tables = [
        make_table(
            [save(tuple(np.add(COLOURS[p], 8 * c - 16)), p, c, split, i) for p, c in views for i in range(n)],
            [p for p, _ in views for _ in range(n)],
            [c for _, c in views for _ in range(n)],
            split,
        )
        for split, n in (("query", 1), ("gallery", 2))
    ]
    tables.append(make_table([save(JUNK, "junk")], [-1], [1], "gallery"))
    return ReidDataset("flat", pd.concat(tables, ignore_index=True))


def network(**switches):
    return HACNN(3, widths=(16, 32, 48), feature_dim=24, **switches)


def person(image, x, y):
    """The identity whose colour is at a place; None for anything else."""
    found = [pid for pid, colour in COLOURS.items() if np.abs(np.subtract(image.getpixel((x, y)), colour)).max() < 9]
    return found[0] if found else None


def test_a_ranking_shows_ten_of_the_gallery_and_frames_them_as_right_or_wrong(dataset):
    image = drawing.ranking(network(), dataset, count=4)
    assert image.size == (11 * CELL[0] + 8 + 16, 4 * CELL[1] + 8)
    frames = set()
    for row in range(4):
        y = 8 + row * CELL[1] + 160
        query = person(image, 8 + 64, y - 100)
        shown = []
        for place in range(1, 11):
            x = 8 + 16 + place * CELL[0]
            found = person(image, x + 64, y)
            shown.append(found)
            frame = image.getpixel((x - 2, y))
            frames.add(frame)
            assert frame == (drawing.RIGHT if found == query else drawing.WRONG)
        assert None not in shown, "junk is not ranked"
        assert shown.count(query) <= 4, "its two images before the query's camera are left out"
    assert frames == {drawing.RIGHT, drawing.WRONG}


def test_queries_of_a_network_without_regions_are_shown_as_they_are(dataset):
    image = drawing.ranking(network(local=False, spatial=False, channel=False), dataset, count=2)
    assert image.size == (11 * CELL[0] + 8 + 16, 2 * CELL[1] + 8)
    for top in (8, 8 + CELL[1]):
        query = {person(image, 8 + x, top + y) for x in (1, 8, 64, 120) for y in (4, 48, 160, 316)}
        assert len(query) == 1 and query <= COLOURS.keys()


def test_a_small_gallery_leaves_places_empty(dataset):
    few = dataset.table[(dataset.table.split == "query") | (dataset.table.pid == 1)]
    image = drawing.ranking(network(), ReidDataset("few", few[few.pid == 1]), count=1)
    frames = [image.getpixel((8 + 16 + place * CELL[0] - 2, 160)) for place in range(1, 11)]
    assert frames == [drawing.RIGHT] * 4 + [(255, 255, 255)] * 6


@pytest.mark.parametrize(
    ("switches", "columns"),
    [
        ({}, 7),
        ({"spatial": False, "channel": False}, 4),
        ({"interaction": False}, 5),
        ({"spatial": False, "channel": False, "interaction": False}, 2),
        ({"local": False}, 4),
        ({"local": False, "spatial": False, "channel": False}, 1),
    ],
    ids=str,
)
def test_attention_has_a_column_for_each_map_of_the_network(dataset, switches, columns):
    paths = drawing.random_queries(dataset, 2).path
    image = drawing.attention(network(**switches), paths)
    assert image.size == (columns * CELL[0] + 8, 2 * CELL[1] + 8 + drawing.LETTERS)


def test_attention_of_larger_images(dataset):
    image = drawing.attention(network(input_size=(192, 96)), drawing.random_queries(dataset, 2).path)
    assert image.size == (7 * (96 * 2 + 8) + 8, 2 * (192 * 2 + 8) + 8 + drawing.LETTERS)


def test_regions_are_drawn_in_the_papers_colours_from_head_to_feet(dataset):
    image = drawing.attention(network(), drawing.random_queries(dataset, 1).path)
    x, top = 8 + CELL[0] + 64, 8 + drawing.LETTERS
    # Even stripes at the start: centres at an eighth, three eighths... of 320 pixels, 0.3 * 320 high.
    lines = {"red": 40 + 48, "blue": 120 - 48, "green": 200 + 48, "violet": 280 - 48}
    colours = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 128, 0), "violet": (238, 130, 238)}
    for name, y in lines.items():
        drawn = {image.getpixel((x, top + y + d)) for d in (-2, -1, 0, 1, 2)}
        assert colours[name] in drawn


def test_regions_are_drawn_as_large_as_the_network_crops_them(dataset):
    """40 of the map's 128 rows at this size, not three tenths, which is no whole number of the third level's rows."""
    model = network(input_size=(256, 128))
    rows, _ = model.get_layer("level1_regions").size
    image = drawing.attention(model, drawing.random_queries(dataset, 1).path)
    x, top = 8 + (128 * 2 + 8) + 128, 8 + drawing.LETTERS
    lower_edge = (0.125 + rows / 128 / 2) * 512
    assert image.getpixel((x, top + lower_edge - 1)) == (255, 0, 0) != image.getpixel((x, top + lower_edge + 1))


class OfEachLevel:
    """Attention of a network that looks somewhere else at each level."""

    input_shape = (None, 160, 64, 3)

    def attention_extractor(self):
        def maps(images):
            soft = [np.zeros((len(images), 16, 8, 5), np.float32) for _ in range(3)]
            for level, array in enumerate(soft):
                array[:, 4 * level : 4 * level + 4] = 1
            return {"regions": [np.full((len(images), 1, 2), 0.5 * level - 0.5) for level in range(3)], "soft": soft}

        return maps


def test_attention_shows_each_level_in_its_columns(dataset):
    image = drawing.attention(OfEachLevel(), drawing.random_queries(dataset, 1).path)
    for level in range(3):
        regions, soft = (8 + (1 + 2 * level + i) * CELL[0] for i in (0, 1))
        top = 8 + drawing.LETTERS
        middle = 64 * (0.5 * level + 0.5), 160 * (0.5 * level + 0.5) - 0.15 * 320  # of the upper edge of the region
        assert (255, 0, 0) in {image.getpixel((regions + middle[0], top + middle[1] + d)) for d in (-2, -1, 0, 1, 2)}
        brightness = [sum(image.getpixel((soft + 64, top + y))) for y in (40, 120, 200)]  # of each quarter's middle
        assert np.argmax(brightness) == level and min(brightness) < 0.5 * max(brightness)


def test_pairs_show_one_person_under_two_cameras(dataset):
    image = drawing.cross_view_pairs(dataset, count=5)
    assert image.size == (6 * CELL[0] + 8 + 2 * 16, CELL[1] + 8), "three pairs, since there are three persons"
    shown = []
    for pair in range(3):
        places = [(8 + (2 * pair + i) * CELL[0] + 16 * pair + 64, 160) for i in (0, 1)]
        left, right = (person(image, *place) for place in places)
        assert left == right and len(set(map(image.getpixel, places))) == 2
        shown.append(left)
    assert sorted(shown) == [1, 2, 3]


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        drawing.attention(network(), [str(tmp_path / "broken.jpg")])
    with pytest.raises(InputError, match=r"absent\.jpg"):
        drawing.attention(network(), [str(tmp_path / "absent.jpg")])

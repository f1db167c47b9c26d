"""One image has the same pixels, and one feature, whichever way it comes in."""

import io
import os
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps, ImageSequence

from hacnn_tf import ReID
from hacnn_tf.data import decode
from hacnn_tf.data.decode import read_image
from hacnn_tf.data.load import load_images
from hacnn_tf.export import decoding
from hacnn_tf.utils.errors import InputError

ORIENTATION = 0x0112


def smooth():
    """An image of 48 × 100 pixels that JPEG keeps well and no turn leaves as it is."""
    noise = np.random.default_rng(0).integers(0, 256, (10, 5, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((48, 100), Image.Resampling.BICUBIC)


def sixteen_bits(image):
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) << 8 | 77)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation, endian="<"):
    exif = Image.Exif()
    exif.endian, exif[0x010F], exif[ORIENTATION] = endian, "a maker", orientation
    return {"exif": exif.tobytes()}


FILES = {
    "JPEG": encoded(smooth(), "JPEG"),
    "progressive JPEG": encoded(smooth(), "JPEG", progressive=True, quality=90, subsampling=0),
    "grey JPEG": encoded(smooth().convert("L"), "JPEG"),
    "CMYK JPEG": encoded(smooth().convert("CMYK"), "JPEG"),
    "PNG": encoded(smooth(), "PNG"),
    "grey PNG": encoded(smooth().convert("L"), "PNG"),
    "grey PNG with alpha": encoded(smooth().convert("LA"), "PNG"),
    "PNG with alpha": encoded(smooth().convert("RGBA"), "PNG"),
    "PNG with a palette": encoded(smooth().quantize(16), "PNG"),
    "PNG with a palette and alpha": encoded(smooth().quantize(16), "PNG", transparency=bytes(range(16))),
    "PNG of one bit": encoded(smooth().convert("1"), "PNG"),
    "PNG of 16 bits": encoded(sixteen_bits(smooth()), "PNG"),
    **{f"JPEG of orientation {n}": encoded(smooth(), "JPEG", **turned(n)) for n in range(10)},
    **{f"JPEG of orientation {n}, big-endian": encoded(smooth(), "JPEG", **turned(n, ">")) for n in (1, 3, 8)},
    **{f"PNG of orientation {n}": encoded(smooth(), "PNG", **turned(n)) for n in (2, 6)},
    "JPEG of an orientation in four bytes, big-endian": encoded(
        smooth(), "JPEG", exif=b"Exif\0\0MM\0*" + struct.pack(">IHHHIII", 8, 1, ORIENTATION, 4, 1, 6, 0)
    ),
    "JPEG of damaged EXIF": encoded(smooth(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\1"),
}
OTHERS = {
    "WebP": encoded(smooth(), "WEBP", lossless=True),
    "WebP of orientation 6": encoded(smooth(), "WEBP", lossless=True, **turned(6)),
    "BMP": encoded(smooth(), "BMP"),
    "TIFF": encoded(smooth(), "TIFF"),
    "TIFF of orientation 6": encoded(smooth(), "TIFF", tiffinfo={ORIENTATION: 6}),
    "TIFF of 16 bits": encoded(sixteen_bits(smooth()), "TIFF"),
    "JPEG 2000": encoded(smooth(), "JPEG2000"),
    "GIF": encoded(smooth(), "GIF"),
    "JPEG of several images": encoded(smooth(), "MPO", save_all=True, append_images=[Image.new("RGB", (48, 100))]),
    "animated GIF": encoded(smooth(), "GIF", save_all=True, append_images=[Image.new("RGB", (48, 100))]),
}
EVERY = {**FILES, **OTHERS}
MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "I;16", "I;16B"]


def in_mode(mode):
    image = sixteen_bits(smooth()) if mode.startswith("I;16") else smooth()
    if mode == "I;16B":
        return Image.frombytes("I;16B", image.size, np.asarray(image).astype(">u2").tobytes())
    return image.convert("P").convert("PA") if mode == "PA" else image.convert(image.mode if ";" in mode else mode)


def upright(content):
    """What Pillow itself makes of a file."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def model():
    return ReID.from_preset("hacnn_cuhk03_detected")


@pytest.mark.filterwarnings("ignore:Palette images")  # converted at once, as here and not by us
@pytest.mark.parametrize("kind", [kind for kind in EVERY if "damaged" not in kind])
def test_every_file_has_pillows_pixels(kind):
    np.testing.assert_array_equal(read_image(EVERY[kind]), upright(EVERY[kind]))


def test_a_palette_with_alpha_makes_pillow_warn_of_nothing(recwarn):
    read_image(EVERY["PNG with a palette and alpha"])
    assert not recwarn.list


@pytest.mark.parametrize("kind", EVERY)
def test_paths_bytes_images_and_arrays_are_the_same_pixels(kind, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(EVERY[kind])
    pixels = read_image(EVERY[kind])
    given = [path, str(path), bytearray(EVERY[kind]), memoryview(EVERY[kind]), Image.open(path), pixels]
    for image in given:
        np.testing.assert_array_equal(read_image(image), pixels)
    for size in ((160, 64), (40, 16)):
        resized = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)  # as docs say to a client
        for found in (read_image(path, size), load_images([str(path)], size)[0]):
            np.testing.assert_array_equal(found, resized)


@pytest.mark.parametrize("kind", FILES)
def test_a_graph_decodes_the_same_pixels(kind):
    np.testing.assert_array_equal(decoding.decode(tf.constant(FILES[kind])), read_image(FILES[kind]))


@pytest.mark.parametrize("mode", MODES)
def test_images_of_every_mode_are_what_a_file_of_them_is(mode):
    image = in_mode(mode)
    assert image.mode == mode
    if mode.startswith("I;16"):
        expected = np.asarray(image) // 256
    else:
        expected = np.asarray(image.convert("RGB"))[..., 0] if mode in ("1", "L", "LA") else None
    pixels = read_image(image)
    assert pixels.shape == (100, 48, 3)
    if expected is None:
        np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))
    else:
        np.testing.assert_array_equal(pixels, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_modes_without_a_white_are_refused(mode):
    with pytest.raises(InputError, match=f"image of mode {mode}, which does not say what is white"):
        read_image(smooth().convert("L").convert(mode))


def test_arrays_are_grey_colour_or_deep():
    grey, colour = (np.asarray(smooth().convert(mode)) for mode in ("L", "RGB"))
    expected = np.repeat(grey[..., None], 3, axis=2)
    deep = grey.astype(np.uint16) << 8 | 77
    for array in (grey, grey[..., None], deep, np.repeat(deep[..., None], 3, axis=2)):
        np.testing.assert_array_equal(read_image(array), expected)
    for array in (colour, colour[..., ::-1][..., ::-1], np.dstack([colour, grey])):
        np.testing.assert_array_equal(read_image(array), colour)
    for wrong in (grey.astype(float), grey[None, None], colour[..., :2], [1, 2], np.zeros((0, 5), np.uint8)):
        with pytest.raises(InputError, match=r"not an image|without pixels"):
            read_image(wrong)


def test_one_grey_array_is_one_image(model):
    grey = np.asarray(smooth().convert("L"))
    np.testing.assert_array_equal(model.embed(grey), model.embed(smooth().convert("L")))
    assert model.embed(grey).shape == (1, 1024)


def test_an_image_that_the_user_holds_is_not_changed():
    image = Image.open(io.BytesIO(FILES["JPEG of orientation 6"]))
    read_image(image, (160, 64))
    assert image.size == (48, 100) and image.getexif()[ORIENTATION] == 6


def test_frames_of_one_image_are_themselves(model):
    colours = ["red", "green", "blue", "white"]
    frames = [Image.new("RGB", (48, 100), colour) for colour in colours]
    file = io.BytesIO(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    found = model.embed(ImageSequence.Iterator(Image.open(file)))
    np.testing.assert_array_equal(found, model.embed(frames))


@pytest.mark.parametrize("kind", ["array", "bytearray", "memoryview"])
def test_frames_in_one_buffer_are_themselves(model, kind):
    """As readers of cameras give them, some hundred of which are taken ahead."""
    frames = [np.full((100, 48, 3), value, np.uint8) for value in range(0, 250, 5)]
    files = [encoded(Image.fromarray(frame), "BMP") for frame in frames]
    array, buffer = np.empty_like(frames[0]), bytearray(len(files[0]))
    given = {"array": array, "bytearray": buffer, "memoryview": memoryview(buffer)}[kind]

    def read():
        for frame, file in zip(frames, files, strict=True):
            array[:], buffer[:] = frame, file
            yield given

    np.testing.assert_array_equal(model.embed(read()), model.embed(frames))


def test_icons_and_files_that_are_too_large_are_not_decoded(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="not an image that Pillow reads"):
        read_image(encoded(smooth().resize((64, 64)), "ICO"))
    monkeypatch.setattr("hacnn_tf.data.decode.MAX_BYTES", 2**20)
    (tmp_path / "large.jpg").write_bytes(bytes(2**20 + 1))
    with pytest.raises(InputError, match="file of more than 1 MiB"):
        read_image(tmp_path / "large.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in ("/dev/zero", tmp_path / "pipe.jpg"):
        with pytest.raises(InputError, match="a pipe or device, not a file"):
            read_image(path)


@pytest.mark.parametrize("kind", ["progressive JPEG", "JPEG of several images"])
def test_a_jpeg_of_many_scans_is_not_decoded(kind, monkeypatch):
    whole = EVERY[kind]
    scans = whole.count(b"\xff\xda")
    monkeypatch.setattr(decode, "MOST_SCANS", scans)
    assert read_image(whole).shape == (100, 48, 3)
    assert read_image(whole + b"\xff\xda" * 1000).shape == (100, 48, 3), "as a film behind a phone's image"
    last = whole[whole.rindex(b"\xff\xda") : -2]
    with pytest.raises(InputError, match=f"JPEG of more than {scans} scans"):
        read_image(whole[:-2] + last + whole[-2:])


def tiff(tags, pixels=b""):
    """A grey TIFF of 64 × 160 pixels: `tags` are number: (type, value)."""
    tags = {256: (4, 64), 257: (4, 160), 258: (4, 8), 259: (4, 1), 262: (4, 1)} | tags
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in tags.items())
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + pixels


def test_a_small_image_of_a_huge_tile_is_not_decoded():
    sides = {decode.TILE_WIDTH: (4, 2**14), decode.TILE_LENGTH: (4, 2**12)}
    with pytest.raises(InputError, match="image of too many pixels"):
        read_image(tiff(sides | {324: (4, 0), 325: (4, 1)}))
    strip = {273: (4, 8 + 2 + 12 * 8 + 4), 278: (4, 160), 279: (4, 64 * 160)}
    assert read_image(tiff(strip, bytes(64 * 160))).shape == (160, 64, 3)
    letter = {decode.TILE_WIDTH: (2, ord("a")), decode.TILE_LENGTH: (4, 2**30)}  # which many times over fills memory
    with pytest.raises(InputError, match="image of too many pixels"):
        read_image(tiff(strip | letter, bytes(64 * 160)))


@pytest.mark.parametrize(("bits", "white_is"), [(12, 1), (16, 0)])
def test_a_tiff_whose_white_pillow_does_not_tell_is_refused(bits, white_is):
    """It would be almost black, or a negative."""
    size = 64 * 160 * bits // 8
    strip = {258: (4, bits), 262: (4, white_is), 273: (4, 8 + 2 + 8 * 12 + 4), 278: (4, 160), 279: (4, size)}
    with pytest.raises(InputError, match="TIFF of 12 bits, or of 16 whose white is 0: convert it"):
        read_image(tiff(strip, bytes(size)))


def test_a_lack_of_memory_is_no_damage(monkeypatch):
    def fail(content):
        raise MemoryError

    monkeypatch.setattr(decode, "_decoded", fail)
    with pytest.raises(MemoryError):
        read_image(encoded(smooth(), "PNG"))


def test_one_image_may_be_given_several_times(model):
    lazy = Image.open(io.BytesIO(encoded(smooth().resize((600, 1200)), "JPEG")))
    found = model.embed([lazy] * 16)
    np.testing.assert_allclose(found, np.repeat(found[:1], 16, axis=0), atol=1e-6)  # rows round as a batch is cut


def test_an_image_without_pixels_is_refused():
    for image in (Image.new("RGB", (0, 0)), smooth().crop((10, 10, 10, 50)), np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(InputError, match="image without pixels"):
            read_image(image, (160, 64))


@pytest.mark.parametrize("kind", ["JPEG", "JPEG of orientation 6", "CMYK JPEG", "PNG of 16 bits", "PNG with alpha"])
def test_a_saved_models_bytes_have_the_feature_of_the_image(kind, model, saved_model):
    found = saved_model.signatures["encoded"](encoded=tf.constant([FILES[kind]]))
    assert found["status"].numpy().tolist() == [b"ok"]
    assert np.linalg.norm(found["features"].numpy() - model.embed(FILES[kind])) < 1e-2


@pytest.fixture(scope="module")
def saved_model(model, tmp_path_factory):
    from hacnn_tf.export import export_model

    folder = tmp_path_factory.mktemp("export") / "export"
    export_model(model.network, folder, ["saved_model"])
    return tf.saved_model.load(folder / "saved_model")

"""What every layer must do: keep its promises on shapes, survive serialisation, dtype policies and XLA."""

import keras
import numpy as np
import pytest

from hacnn_tf import layers
from tests.layers.oracle import trained

MAP = (2, 16, 8, 32)
SIGNATURE = (2, 1, 1, 32)
CENTRES = (2, 4, 2)

CASES = {
    "batch_norm": (layers.BatchNorm, {}, [MAP], MAP),
    "conv_block": (layers.ConvBlock, {"filters": 8, "kernel_size": 3, "strides": 2}, [MAP], (2, 8, 4, 8)),
    "inception_a": (layers.InceptionA, {"filters": 24}, [MAP], (2, 16, 8, 24)),
    "inception_b": (layers.InceptionB, {"filters": 24}, [MAP], (2, 8, 4, 24)),
    "inception_b_odd": (layers.InceptionB, {"filters": 16}, [(2, 7, 5, 8)], (2, 4, 3, 16)),
    "spatial_attention": (layers.SpatialAttention, {}, [MAP], (2, 16, 8, 1)),
    "channel_attention": (layers.ChannelAttention, {"reduction": 8}, [SIGNATURE], SIGNATURE),
    "soft_attention": (layers.SoftAttention, {"reduction": 8}, [MAP, SIGNATURE], MAP),
    "soft_attention_spatial": (layers.SoftAttention, {"channel": False}, [MAP, SIGNATURE], MAP),
    "soft_attention_channel": (layers.SoftAttention, {"spatial": False}, [MAP, SIGNATURE], MAP),
    "hard_attention": (layers.HardAttention, {"num_regions": 4}, [SIGNATURE], CENTRES),
    "region_crop": (layers.RegionCrop, {"size": (5, 7)}, [MAP, CENTRES], (8, 5, 7, 32)),
}


def arrays(shapes):
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("case", CASES)
def test_shape_static_and_with_unknown_batch(case):
    cls, config, shapes, output_shape = CASES[case]
    assert cls(**config)(*arrays(shapes)).shape == output_shape
    symbolic = cls(**config)(*[keras.Input(shape[1:]) for shape in shapes])
    assert symbolic.shape == (None, *output_shape[1:])
    assert cls(**config).compute_output_shape(*shapes) == output_shape


@pytest.mark.parametrize("case", CASES)
def test_saved_and_loaded_it_gives_the_same(case, tmp_path):
    cls, config, shapes, _ = CASES[case]
    inputs = [keras.Input(shape[1:]) for shape in shapes]
    model = keras.Model(inputs, cls(**config)(*inputs))
    model.save(tmp_path / "layer.keras")
    loaded = keras.saving.load_model(tmp_path / "layer.keras", safe_mode=True)
    np.testing.assert_array_equal(model(arrays(shapes)), loaded(arrays(shapes)))


@pytest.mark.parametrize("case", CASES)
def test_frozen_it_stays_so_when_it_is_saved(case, tmp_path):
    cls, config, shapes, _ = CASES[case]
    inputs = [keras.Input(shape[1:]) for shape in shapes]
    model = keras.Model(inputs, cls(**config, trainable=False)(*inputs))
    assert model.trainable_variables == []
    model.save(tmp_path / "layer.keras")
    assert keras.saving.load_model(tmp_path / "layer.keras").trainable_variables == []


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_half_precision_is_close_to_float32(case, policy):
    cls, config, shapes, _ = CASES[case]
    inputs = arrays(shapes)
    if "spatial" in case:  # it takes the mean over channels, which is next to nothing otherwise
        inputs[0] *= 50
    exact, half = (trained(cls(**config, **dtype), *inputs) for dtype in ({}, {"dtype": policy}))
    expected, output = exact(*inputs), half(*inputs)
    kept_exact = case == "hard_attention"
    assert keras.backend.standardize_dtype(output.dtype) == ("float32" if kept_exact else policy.removeprefix("mixed_"))
    spread = np.std(expected)
    assert spread > 0.01
    # Centres in bfloat16 would be off by a good part of a pixel, which half precision alone is not.
    share = 0.035 if case == "region_crop" else {"mixed_float16": 0.03, "mixed_bfloat16": 0.25}[policy]
    np.testing.assert_allclose(keras.ops.cast(output, "float32"), expected, rtol=0, atol=share * spread)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("hard_attention", "region_crop")])
def test_training_takes_statistics_of_the_batch_everywhere(case):
    cls, config, shapes, _ = CASES[case]
    layer, inputs = cls(**config), arrays(shapes)
    layer(*inputs)
    before = [np.array(average) for average in layer.non_trainable_variables]
    layer(*inputs, training=True)
    assert before
    for old, average in zip(before, layer.non_trainable_variables, strict=True):
        assert not np.array_equal(old, average), average.path


@pytest.mark.parametrize("case", CASES)
def test_compiled_by_xla_it_gives_the_same(case):
    cls, config, shapes, _ = CASES[case]
    import tensorflow as tf

    layer = cls(**config)
    inputs = arrays(shapes)
    expected = layer(*inputs)
    np.testing.assert_allclose(tf.function(layer, jit_compile=True)(*inputs), expected, atol=1e-5)


@pytest.mark.parametrize("cls", [layers.InceptionA, layers.InceptionB])
def test_a_width_that_does_not_split_in_four_is_refused(cls):
    with pytest.raises(ValueError, match="divisible by 4, not 30"):
        cls(30)


def test_channels_that_the_reduction_does_not_divide_are_refused():
    with pytest.raises(ValueError, match="16, which does not divide 24"):
        layers.ChannelAttention()(np.zeros((1, 1, 1, 24)))


@pytest.mark.parametrize("cls", [layers.ChannelAttention, layers.HardAttention])
def test_a_map_in_place_of_its_signature_is_refused(cls):
    with pytest.raises(ValueError, match=rf"{cls.__name__} reads a signature .*, not a map \(2, 8, 6, 32\)"):
        cls()(np.zeros((2, 8, 6, 32)))


@pytest.mark.parametrize("size", [4, (4,), (4, 0), (4, 4, 4), (4.0, 3.0)])
def test_regions_of_no_size_are_refused(size):
    with pytest.raises(ValueError, match=r"must be two whole numbers, \(height, width\)"):
        layers.RegionCrop(size)


@pytest.mark.parametrize("shapes", [((None, 8, 32), (4, 2)), ((16, 8, 32), (None, 2)), ((16, 8, 32), (4, 3))])
def test_maps_and_centres_that_cannot_be_cropped_are_refused(shapes):
    with pytest.raises(ValueError, match="RegionCrop needs"):
        layers.RegionCrop((5, 7))(*map(keras.Input, shapes))


@pytest.mark.parametrize("arguments", [{"axis": 1}, {"center": False}, {"scale": False}], ids=str)
def test_batch_norm_of_another_kind_is_refused(arguments):
    with pytest.raises(ValueError, match="over the last axis, with scale and offset"):
        layers.BatchNorm(**arguments)


def test_soft_attention_takes_maps_of_any_size():
    channels = keras.Input((None, None, 32))
    signature = keras.layers.GlobalAveragePooling2D(keepdims=True)(channels)
    layer = layers.SoftAttention()
    model = keras.Model(channels, layer(channels, signature))
    for size in ((16, 8), (9, 5)):
        x = np.random.default_rng(0).normal(size=(2, *size, 32)).astype("float32")
        expected = layer(x, x.mean(axis=(1, 2), keepdims=True))
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)


def test_soft_attention_without_any_attention_is_refused():
    with pytest.raises(ValueError, match="spatial or channel"):
        layers.SoftAttention(spatial=False, channel=False)

"""The network: its counts, its three views, its switches, and what it must survive."""

import inspect
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf.models import HACNN

SMALL = {"widths": (16, 32, 48), "feature_dim": 24, "input_size": (80, 32)}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (4, 80, 32, 3), dtype=np.uint8)


def test_three_views_of_the_same_weights(images):
    model = HACNN(7, **SMALL)
    logits = model(images)
    assert {branch: tuple(z.shape) for branch, z in logits.items()} == {"global": (4, 7), "local": (4, 7)}
    features = np.asarray(model.feature_extractor()(images))
    assert features.shape == (4, 48)
    np.testing.assert_allclose(np.linalg.norm(features.reshape(4, 2, 24), axis=-1), 1, atol=1e-5)
    attention = model.attention_extractor()(images)
    assert [tuple(t.shape) for t in attention["regions"]] == [(4, 4, 2)] * 3
    assert [tuple(a.shape) for a in attention["soft"]] == [(4, 20, 8, 16), (4, 10, 4, 32), (4, 5, 2, 48)]
    for soft in attention["soft"]:
        assert np.asarray(soft).min() >= 0.5 and np.asarray(soft).max() < 1

    before = np.asarray(model.feature_extractor()(images))
    model.get_layer("stem").conv.kernel.assign_add(0.1 * keras.ops.ones_like(model.get_layer("stem").conv.kernel))
    assert np.abs(np.asarray(model.feature_extractor()(images)) - before).max() > 1e-3


def test_weights_have_the_same_paths_in_every_network_of_a_process():
    """Checkpoints know them by these."""
    first, second = ([v.path for v in HACNN(7, **SMALL).variables] for _ in range(2))
    assert first == second and len(set(first)) == len(first)


def inside(images, *tensors):
    """What layers of a network take or give in training, as in "stem.output"."""
    model = HACNN(7, **SMALL)
    found = [getattr(model.get_layer(layer), side) for layer, side in (tensor.split(".") for tensor in tensors)]
    return [np.asarray(value) for value in keras.Model(model.input, found)(images, training=True)]


@pytest.mark.parametrize("level", [2, 3])
def test_a_level_reads_what_soft_attention_leaves_of_the_level_before(level, images):
    before = f"level{level - 1}"
    read, x, attention = inside(
        images, f"level{level}_inception_a.input", f"{before}_inception_b.output", f"{before}_soft_attention.output"
    )
    assert x.std() > 0.1 and attention.std() > 0.01
    np.testing.assert_allclose(read, x * attention, atol=1e-6)


@pytest.mark.parametrize("level", [2, 3])
def test_the_local_branch_adds_its_regions_of_the_global_one(level, images):
    """Eq. 6."""
    read, local, crops = inside(
        images,
        f"level{level}_local_inception_b.input",
        f"level{level - 1}_local_inception_b.output",
        f"level{level}_regions.output",
    )
    assert local.std() > 0.1 and crops.std() > 0.1
    np.testing.assert_allclose(read, local + crops, atol=1e-6)


def test_both_losses_teach_the_global_branch(images):
    """Eq. 7: through the regions, which stay where they are here so that no gradient goes through their centres."""
    model = HACNN(7, regional=False, **SMALL)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True)["local"] ** 2)
    layers = [model.get_layer(name) for name in ("stem", "level1_inception_a", "level2_inception_b")]
    gradients = tape.gradient(loss, [layer.trainable_variables[0].value for layer in layers])
    assert all(gradient is not None and np.abs(gradient).max() > 1e-6 for gradient in gradients)


def test_features_are_what_the_classifiers_read(images):
    model = HACNN(7, **SMALL)
    reader = keras.Model(model.input, [model.get_layer(f"{b}_classifier").input for b in ("global", "local")])
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in map(np.asarray, reader(images))]
    np.testing.assert_allclose(model.feature_extractor()(images), np.concatenate(unit, axis=-1), atol=1e-5)


def test_raw_pixels_as_bytes_or_floats(images):
    model = HACNN(7, **SMALL)
    np.testing.assert_array_equal(model(images)["local"], model(images.astype("float32"))["local"])


def test_regions_start_as_even_stripes(images):
    for centres in HACNN(7, **SMALL).attention_extractor()(images)["regions"]:
        np.testing.assert_allclose(centres[0, :, 0], [-0.75, -0.25, 0.25, 0.75], atol=1e-6)
        np.testing.assert_allclose(centres[0, :, 1], 0, atol=1e-7)


def test_the_regions_of_every_level_can_move_from_where_they_start():
    images = np.random.default_rng(0).integers(0, 256, (4, 160, 64, 3), dtype=np.uint8)
    model = HACNN(7)
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(logits**2) for logits in model(images, training=True).values())
    biases = [model.get_layer(f"level{level}_hard_attention").weights[1] for level in (1, 2, 3)]
    for gradient in tape.gradient(loss, biases):
        assert (np.asarray(gradient) != 0).all()


SWITCHES = {
    "no attention": {"spatial": False, "channel": False, "regional": False},
    "SSA": {"channel": False, "regional": False},
    "SCA": {"spatial": False, "regional": False},
    "SSA+SCA": {"regional": False},
    "HRA": {"spatial": False, "channel": False},
    "without interaction": {"interaction": False},
}


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_ablations_have_just_their_own_layers(images, switches):
    model = HACNN(7, **SMALL, **switches)
    names = [variable.path for variable in model.trainable_variables]
    for part, name in (("spatial", "/spatial/"), ("channel", "/channel/"), ("regional", "hard_attention")):
        assert any(name in path for path in names) == switches.get(part, True)
    assert any("blend" in path for path in names) == (switches.get("spatial", True) or switches.get("channel", True))
    crops = [layer for layer in model.layers if layer.name.endswith("_regions")]
    assert len(crops) == (3 if switches.get("interaction", True) else 1)
    assert len(model.attention_extractor()(images)["regions"]) == len(crops)
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_mean(tf.square(z)) for z in model(images, training=True).values())
    gradients = dict(zip(names, tape.gradient(loss, model.trainable_variables), strict=True))
    assert not [name for name, gradient in gradients.items() if gradient is None]


SOFT = {
    "no attention": {"spatial": False, "channel": False},
    "SSA": {"channel": False},
    "SCA": {"spatial": False},
    "SSA+SCA": {},
}


@pytest.mark.parametrize("soft", SOFT.values(), ids=SOFT)
def test_without_the_local_branch_it_is_the_global_branch_of_a_whole_network(soft, images):
    """Of the same weights and in training too: nothing of the local branch, nor of hard attention, leads into it."""
    whole, alone = HACNN(7, **SMALL, **soft, regional=False), HACNN(7, **SMALL, **soft, local=False)
    assert (whole.branches, alone.branches) == (("global", "local"), ("global",))
    whole(images, training=True)  # moves the batch norms' averages
    weights = {variable.path: variable.numpy() for variable in whole.variables}
    own = {variable.path for variable in alone.variables}
    assert own == {path for path in weights if "local" not in path and "hard_attention" not in path}
    for variable in alone.variables:
        variable.assign(weights[variable.path])
    features = np.asarray(alone.feature_extractor()(images))
    assert features.shape == (4, 24)
    np.testing.assert_allclose(np.linalg.norm(features, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(features, np.asarray(whole.feature_extractor()(images))[:, :24], atol=1e-6)
    for training in (False, True):
        logits = alone(images, training=training)
        assert list(logits) == ["global"]
        np.testing.assert_allclose(logits["global"], whole(images, training=training)["global"], atol=1e-5)


@pytest.mark.parametrize("soft", SOFT.values(), ids=SOFT)
def test_without_the_local_branch_every_weight_learns(soft, images):
    model = HACNN(7, **SMALL, **soft, local=False)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(images, training=True)["global"]))
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert gradient is not None and np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    attention = model.attention_extractor()
    assert (attention is None) == (soft == SOFT["no attention"])
    if attention:
        maps = attention(images)
        assert list(maps) == ["soft"]
        assert [tuple(a.shape) for a in maps["soft"]] == [(4, 20, 8, 16), (4, 10, 4, 32), (4, 5, 2, 48)]


ARGUMENTS = [{"channel": False, "num_regions": 3, "dtype": "mixed_bfloat16", "name": "small"}, {"local": False}]


def test_every_argument_is_saved():
    """One that is not would be lost in Keras files, presets and other precisions, in silence."""
    config = HACNN(7, **SMALL).get_config()
    assert set(config) == set(inspect.signature(HACNN.__init__).parameters) - {"self"}


def test_numbers_may_be_numpys_and_are_saved_as_pythons():
    sizes = {name: np.asarray(value) for name, value in SMALL.items()}
    assert json.dumps(HACNN(np.int64(7), **sizes).get_config()) == json.dumps(HACNN(7, **SMALL).get_config())


def test_a_variants_lists_are_its_own():
    model = HACNN(7, **SMALL)
    for loaded in (model, HACNN.from_config(model.get_config())):
        before, config = loaded.get_config(), loaded.get_config()
        config["widths"][2] = 64
        assert HACNN.from_config(config).get_config() == config != loaded.get_config() == before


def test_a_subclass_stays_one_in_another_precision():
    class Mine(HACNN):
        pass

    assert type(Mine(7, **SMALL).with_dtype("mixed_bfloat16")) is Mine


def test_regions_that_are_off_stay_so_after_fine_tuning():
    model = HACNN(7, regional=False, **SMALL)
    before = [variable.path for variable in model.trainable_variables]
    model.trainable = False
    assert model.trainable_variables == []
    model.trainable = True
    assert [variable.path for variable in model.trainable_variables] == before


def test_keras_int8_is_refused():
    with pytest.raises(ValueError, match="export --precision int8"):
        HACNN(7, **SMALL).quantize("int8")


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_saved_and_loaded_it_gives_the_same(arguments, images, tmp_path):
    model = HACNN(7, **SMALL, **arguments)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert isinstance(loaded, HACNN)
    assert loaded.get_config() == model.get_config()
    for view in ("feature_extractor", "attention_extractor"):
        expected, found = (keras.tree.flatten(getattr(m, view)()(images)) for m in (model, loaded))
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(keras.ops.cast(a, "float32"), keras.ops.cast(b, "float32"))


def test_a_frozen_network_is_loaded_frozen(tmp_path):
    model = HACNN(7, **SMALL)
    model.trainable = False
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.feature_extractor().trainable_variables == []
    loaded.trainable = True
    assert len(loaded.trainable_variables) == len(HACNN(7, **SMALL).trainable_variables)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_features_and_positions_exact(images, policy):
    exact, mixed = HACNN(7, **SMALL), HACNN(7, **SMALL, dtype=policy)
    mixed.set_weights(exact.get_weights())
    assert {z.dtype for z in mixed(images).values()} == {tf.float32}
    np.testing.assert_allclose(mixed.feature_extractor()(images), exact.feature_extractor()(images), atol=0.1)
    regions, soft = (keras.tree.flatten(mixed.attention_extractor()(images)[key]) for key in ("regions", "soft"))
    assert {x.dtype for x in regions} == {tf.float32}
    assert {x.dtype for x in soft} == {tf.as_dtype(policy.removeprefix("mixed_"))}


def test_compiled_by_xla_it_gives_the_same(images):
    model = HACNN(7, **SMALL)
    extractor = model.feature_extractor()
    np.testing.assert_allclose(tf.function(extractor, jit_compile=True)(images), extractor(images), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_identities": 0}, "num_identities must be at least 1, not 0"),
        ({"widths": (16, 32)}, "three numbers divisible by 16"),
        ({"widths": (16, 32, 50)}, r"divisible by 16, one a level, not \(16, 32, 50\)"),
        ({"input_size": (161, 64)}, r"divisible by 16, not \(161, 64\)"),
        ({"num_regions": 0}, "num_regions must be at least 1"),
        ({"feature_dim": 0}, "feature_dim must be at least 1"),
        ({"local": False, "regional": True}, "regional needs the local branch: leave it out, or local=False"),
        ({"local": False, "interaction": True}, "interaction needs the local branch"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        HACNN(**{"num_identities": 7, **arguments})


def test_another_order_of_axes_in_a_users_keras_json_changes_nothing(images):
    model = HACNN(7, **SMALL)
    expected = model.feature_extractor()(images)
    keras.config.set_image_data_format("channels_first")
    try:
        other = HACNN(7, **SMALL)
        other.set_weights(model.get_weights())
        np.testing.assert_array_equal(other.feature_extractor()(images), expected)
    finally:
        keras.config.set_image_data_format("channels_last")


JAX_SCRIPT = """
import sys
import keras, numpy as np
import hacnn_tf.models
assert keras.backend.backend() == "jax" and "tensorflow" not in sys.modules
images = np.load("images.npy")
for name in sys.argv[1:]:
    model = keras.saving.load_model(name + ".keras")
    views = [model, model.feature_extractor(), model.attention_extractor()]
    np.savez(name + ".npz", *[np.asarray(x) for view in views for x in keras.tree.flatten(view(images))])
"""


def test_the_same_under_keras_jax_backend(images, tmp_path):
    """With and without the local branch, in one process: JAX compiles each operation for each shape."""
    pytest.importorskip("jax")
    expected, rng = {}, np.random.default_rng(1)
    for name, local in (("whole", True), ("global", False)):
        model = HACNN(7, **SMALL, local=local)
        model(images, training=True)  # moves the batch norms' averages
        for layer in model.layers:
            if "hard_attention" in layer.name:
                layer.translation.kernel.assign(rng.normal(0, 0.3, layer.translation.kernel.shape))
        model.save(tmp_path / f"{name}.keras")
        views = [model, model.feature_extractor(), model.attention_extractor()]
        expected[name] = [np.asarray(x) for view in views for x in keras.tree.flatten(view(images))]
    np.save(tmp_path / "images.npy", images)
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", JAX_SCRIPT, *expected], check=True, cwd=tmp_path, env=environment)
    for name, arrays in expected.items():
        with np.load(tmp_path / f"{name}.npz") as found:
            for array, key in zip(arrays, found.files, strict=True):
                np.testing.assert_allclose(found[key], array, atol=1e-5)

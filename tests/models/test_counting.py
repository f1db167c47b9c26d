"""The counter on networks counted by hand, and HA-CNN against the table that its readings of the paper give."""

import keras
import pytest

from hacnn_tf import complexity
from hacnn_tf.layers import ConvBlock, SoftAttention
from hacnn_tf.models import HACNN, count, kernel_calls
from tests.conftest import command


def test_a_small_network_counted_by_hand():
    x = inputs = keras.Input((8, 6, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=True)(x)  # 108 weights at 48 positions
    left = keras.layers.DepthwiseConv2D(3, padding="same")(x)  # 36 at 48
    x = keras.layers.Add()([x, left])
    x = keras.layers.Conv2DTranspose(2, 2, 2)(x)  # 32 at the 48 positions of its input
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(5)(x))  # 10
    assert count(kernel_calls(model)) == {"weights": 186, "macs": 108 * 48 + 36 * 48 + 32 * 48 + 10, "depth": 4}


def test_a_layer_called_twice_counts_its_weights_once():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    shared = keras.Sequential([keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)])
    model = keras.Model(inputs, keras.layers.Concatenate()([shared(x) for x in inputs]))
    assert count(kernel_calls(model)) == {"weights": 18, "macs": 36, "depth": 2}


def test_a_layer_may_ignore_some_of_what_it_is_given():
    inputs = [keras.Input((8, 8, 32)), keras.Input((1, 1, 32))]
    model = keras.Model(inputs, SoftAttention(channel=False)(*inputs))  # 9 weights at 16 positions, 1 and 32² at 64
    assert count(kernel_calls(model)) == {"weights": 1034, "macs": 9 * 16 + 64 + 1024 * 64, "depth": 3}


def test_grouped_convolutions_and_nested_layers():
    inputs = keras.Input((4, 4, 8))
    x = keras.layers.Conv2D(8, 3, groups=4, padding="same")(inputs)  # 3·3·2·8 weights at 16 positions
    model = keras.Model(inputs, ConvBlock(6, 1, 2)(x))  # 48 at 4
    assert count(kernel_calls(model)) == {"weights": 192, "macs": 144 * 16 + 48 * 4, "depth": 2}


def test_separable_convolutions_are_two_kernels():
    model = keras.Sequential([keras.Input((4, 4, 8)), keras.layers.SeparableConv2D(6, 3)])  # 72 and 48 weights at 4
    assert count(kernel_calls(model)) == {"weights": 120, "macs": 480, "depth": 2}


def test_a_layer_of_unknown_cost_is_refused_not_left_out():
    model = keras.Sequential([keras.Input((4,), dtype="int32"), keras.layers.Embedding(10, 3)])
    with pytest.raises(ValueError, match="/embedding/embeddings are not known"):
        kernel_calls(model)


class OwnKernel(keras.layers.Layer):
    """A matrix of its own beside a layer's."""

    def build(self, shape):
        self.dense = keras.layers.Dense(4)
        self.dense.build(shape)
        self.matrix = self.add_weight((4, 4), name="matrix")

    def call(self, x):
        return self.dense(x) @ self.matrix


@pytest.mark.parametrize(
    ("shape", "layer"), [((4,), OwnKernel()), ((2, 4), keras.layers.TimeDistributed(keras.layers.Dense(3)))]
)
def test_a_matrix_that_no_counted_layer_has_is_refused(shape, layer):
    model = keras.Sequential([keras.Input(shape), layer])
    with pytest.raises(ValueError, match="are not known"):
        kernel_calls(model)


def test_counting_leaves_the_model_as_it_was():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    kernel_calls(model)
    assert model.layers[0].output.shape == (None, 3)  # a second call of the layer would make its output ambiguous


EXPECTED = {
    "first conv": (864, 2_211_840),
    "level 1 Inceptions": (75_776, 142_868_480),
    "level 1 attention": (19_466, 10_490_912),
    "level 2 Inceptions": (319_488, 153_354_240),
    "level 2 attention": (75_786, 10_496_520),
    "level 3 Inceptions": (743_424, 90_193_920),
    "level 3 attention": (168_970, 5_919_874),
    "global FC": (196_608, 196_608),
    "local branch": (1_308_672, 128_262_144),
    "total": (2_909_054, 543_994_538),
    "classifiers": (2 * 512 * 751, 2 * 512 * 751),
}


@pytest.fixture(scope="module")
def printed():
    """The lines of `python -m hacnn_tf.complexity`, by part."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as output:
        command(complexity)
    return {line[:22].strip(): line[22:].split() for line in output.getvalue().splitlines()[1:]}


@pytest.mark.parametrize("part", EXPECTED)
def test_hacnn_costs_exactly_what_the_readings_give(part, printed):
    weights, macs, _ = printed[part]
    assert (int(weights.replace(",", "")), int(macs.replace(",", ""))) == EXPECTED[part]


LEVELS = {1: (128, 40, 16), 2: (256, 20, 8), 3: (384, 10, 4)}  # channels, height and width of the attended maps


@pytest.mark.parametrize("spatial", [True, False])
@pytest.mark.parametrize("channel", [True, False])
def test_the_global_branch_alone_costs_what_the_readings_give(spatial, channel):
    expected = {part: EXPECTED[part] for part in ("first conv", "global FC")}
    expected |= {f"level {level} Inceptions": EXPECTED[f"level {level} Inceptions"] for level in LEVELS}
    for level, (c, h, w) in LEVELS.items():
        # Weights and positions: a 3×3 conv of stride 2 and its scale; squeeze and excitation; the blending conv.
        kernels = [(9, h * w // 4), (1, h * w)] if spatial else []
        kernels += [(2 * c * c // 16, 1)] if channel else []
        kernels += [(c * c, h * w)] if kernels else []
        if kernels:
            counted = sum(weights for weights, _ in kernels), sum(weights * at for weights, at in kernels)
            expected[f"level {level} attention"] = counted
            if spatial and channel:  # what is left of the design's table without hard attention's FC of c × 2T
                assert counted == tuple(total - 8 * c for total in EXPECTED[f"level {level} attention"])
    expected["classifiers"] = (512 * 10, 512 * 10)
    parts = {}
    for call in kernel_calls(HACNN(10, spatial=spatial, channel=channel, local=False)):
        parts.setdefault(complexity.part_of(call.path.split("/")[0]), []).append(call)
    counts = {part: count(calls) for part, calls in parts.items()}
    assert {part: (total["weights"], total["macs"]) for part, total in counts.items()} == expected


def test_twice_the_multiply_adds_is_the_papers_flops():
    total = count([call for call in kernel_calls(HACNN(10)) if "classifier" not in call.path])
    assert round(2 * total["macs"] / 1e9, 2) == 1.09

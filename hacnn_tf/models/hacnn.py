"""The Harmonious Attention network (§3, Fig. 2)."""

import operator
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hacnn_tf.layers import (
    BatchNorm,
    ConvBlock,
    HardAttention,
    InceptionA,
    InceptionB,
    RegionCrop,
    SoftAttention,
    initializers,
)
from hacnn_tf.utils.types import Size, Tensor

# The usual statistics of RGB photographs (ImageNet's), for pixels in [0, 255].
PIXEL_MEAN = [123.675, 116.28, 103.53]
PIXEL_VARIANCE = [58.395**2, 57.12**2, 57.375**2]

INPUT_SIZE = (160, 64)  # height and width in pixels (§4)
STEM_FILTERS = 32
STRIDE = 16  # of the whole global branch: the stem and three Inception-Bs
# A region's size as a share of its level's map: 24/80 and 28/32 at the first level, the same at the others (§4).
REGION_SCALE = (24 / 80, 28 / 32)


@keras.saving.register_keras_serializable(package="hacnn_tf")
class HACNN(keras.Model):
    """Harmonious Attention CNN: a global branch with soft attention, a local branch on regions found by hard attention.

    Three views of the same weights:

    - `model(images)` gives `{"global": logits, "local": logits}`, each `(batch, num_identities)` float32;
    - `model.feature_extractor()(images)` gives `(batch, 2 * feature_dim)` float32 features: global and local,
      each L2-normalised, concatenated (§3.2);
    - `model.attention_extractor()(images)` gives `{"regions": [...], "soft": [...]}`, one tensor a level:
      region centres `(batch, T, 2)` as (t_y, t_x) in [-1, 1], and soft attention maps `(batch, h, w, c)` in [0.5, 1]
      (no `"soft"` if both soft attentions are off; regions of level 1 alone without interaction).

    Without the local branch there are no local logits and no regions, and features are `(batch, feature_dim)`.

    Images are `(batch, height, width, 3)` RGB in [0, 255], uint8 or float; normalisation is part of the graph.

    Args:
        num_identities: number of training identities (classes of both softmax classifiers).
        spatial: soft spatial attention (Table 5's SSA).
        channel: soft channel attention (Table 5's SCA).
        local: the local branch; without it the network is the global branch alone, with or without soft attention.
        regional: hard regional attention (Table 5's HRA); without it the regions stay the even stripes they start as.
            By default as `local`, without which there is none.
        interaction: cross-attention interaction (Eq. 6, Table 6): the local branch also reads its regions of the
            global branch at levels 2 and 3. By default as `local`, without which there is none.
        num_regions: T, the number of local streams; ignored without the local branch.
        widths: d1, d2, d3, the Inception widths of the three levels; divisible by 16.
        input_size: (height, width) in pixels, both divisible by 16.
        feature_dim: size of each branch's feature.
        name, dtype, trainable: as of every Keras layer; `dtype` may be a mixed-precision policy. Region positions,
            logits and features are float32 under all of them. Layers frozen one by one are not saved as such.

    Attributes:
        branches: names of its branches, in the order of their features: `BRANCHES`, or "global" alone.

    Raises:
        TypeError: a width, side or count is no whole number.
        ValueError: a width, the input size, a count or a combination of switches that the network cannot be built with.
    """

    def __init__(
        self,
        num_identities: int,
        *,
        spatial: bool = True,
        channel: bool = True,
        local: bool = True,
        regional: bool | None = None,
        interaction: bool | None = None,
        num_regions: int = 4,
        widths: Sequence[int] = (128, 256, 384),
        input_size: Sequence[int] = INPUT_SIZE,
        feature_dim: int = 512,
        dtype: str | dict[str, Any] | keras.DTypePolicy | None = None,
        name: str = "hacnn",
        trainable: bool = True,
    ) -> None:
        num_identities, num_regions, feature_dim = map(operator.index, (num_identities, num_regions, feature_dim))
        widths, input_size = list(map(operator.index, widths)), list(map(operator.index, input_size))
        _check(num_identities, num_regions, widths, input_size, feature_dim)
        for switch, on in (("regional", regional), ("interaction", interaction)):
            if on and not local:
                raise ValueError(f"{switch} needs the local branch: leave it out, or local=False.")
        regional = local if regional is None else regional
        interaction = local if interaction is None else interaction
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        def dense(units: int, name: str, dtype: Any = policy, use_bias: bool = True) -> keras.Layer:
            return keras.layers.Dense(
                units, use_bias=use_bias, kernel_initializer=initializers.fan_in_uniform(), dtype=dtype, name=name
            )

        def feature(x: Tensor, name: str) -> Tensor:
            x = dense(feature_dim, f"{name}_fc", use_bias=False)(x)
            return ops.relu(BatchNorm(dtype=policy, name=f"{name}_norm")(x))

        images = keras.Input((*input_size, 3), name="images")
        x = keras.layers.Normalization(mean=PIXEL_MEAN, variance=PIXEL_VARIANCE, dtype=policy, name="pixels")(images)
        x = ConvBlock(STEM_FILTERS, 3, 2, dtype=policy, name="stem")(x)

        streams, soft_maps, regions = None, [], []
        for level, (width, region_size) in enumerate(zip(widths, region_sizes(input_size), strict=True), start=1):
            block_input = x
            x = InceptionA(width, dtype=policy, name=f"level{level}_inception_a")(x)
            x = InceptionB(width, dtype=policy, name=f"level{level}_inception_b")(x)

            # Harmonious attention: soft and hard share the channel signature.
            signature = keras.layers.GlobalAveragePooling2D(  # Eq. 3
                keepdims=True, data_format="channels_last", dtype=policy, name=f"level{level}_signature"
            )(x)
            if spatial or channel:
                attention = SoftAttention(spatial, channel, dtype=policy, name=f"level{level}_soft_attention")
                soft_maps.append(attention(x, signature))
                x = x * soft_maps[-1]

            if not local:
                continue
            # The regions are folded into the batch axis, so that all streams share one call of one Inception.
            if level == 1 or interaction:
                hard_attention = HardAttention(num_regions, fixed=not regional, name=f"level{level}_hard_attention")
                centres = hard_attention(signature)
                regions.append(centres)
                crops = RegionCrop(region_size, dtype=policy, name=f"level{level}_regions")(block_input, centres)
                streams = crops if streams is None else streams + crops  # Eq. 6
            streams = InceptionB(width, dtype=policy, name=f"level{level}_local_inception_b")(streams)

        x = keras.layers.GlobalAveragePooling2D("channels_last", dtype=policy, name="global_pool")(x)
        features = {"global": feature(x, "global")}
        if local:
            streams = keras.layers.GlobalAveragePooling2D("channels_last", dtype=policy, name="local_pool")(streams)
            features["local"] = feature(ops.reshape(streams, (-1, num_regions * widths[-1])), "local")
        logits = {
            branch: dense(num_identities, f"{branch}_classifier", dtype="float32")(x) for branch, x in features.items()
        }
        super().__init__(inputs=images, outputs=logits, name=name)
        self.trainable = trainable
        self.dtype_policy = policy
        self._config = {
            "num_identities": num_identities,
            "spatial": spatial,
            "channel": channel,
            "local": local,
            "regional": regional,
            "interaction": interaction,
            "num_regions": num_regions,
            "widths": widths,
            "input_size": input_size,
            "feature_dim": feature_dim,
        }
        unit = keras.layers.UnitNormalization(dtype="float32", name="unit_norm")
        joint = keras.layers.Concatenate(dtype="float32", name="features")
        self._features = joint([unit(features[branch]) for branch in features])
        self._attention = {kind: maps for kind, maps in (("regions", regions), ("soft", soft_maps)) if maps}

    @property
    def branches(self) -> tuple[str, ...]:
        return tuple(self.output)

    def feature_extractor(self) -> keras.Model:
        """A `keras.Model` from images to features `(batch, len(branches) * feature_dim)`, on this model's weights."""
        return keras.Model(self.inputs[0], self._features, name="features")

    def attention_extractor(self) -> keras.Model | None:
        """A `keras.Model` from images to `{"regions": [...], "soft": [...]}`, on this model's weights.

        None if the network has no attention and no local branch.
        """
        return keras.Model(self.inputs[0], self._attention, name="attention") if self._attention else None

    def with_dtype(self, dtype: str) -> "HACNN":
        """This network, or one of the same weights that computes under another dtype policy."""
        if dtype == self.dtype_policy.name:
            return self
        other = type(self)(**(self.get_config() | {"dtype": dtype}))
        other.set_weights(self.get_weights())
        return other

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Refused: Keras's int8 would also be that of the regions' positions, and could not be saved."""
        raise ValueError("Keras's quantize cannot be saved for HACNN: export it with hacnn_tf.export --precision int8.")

    def get_config(self) -> dict[str, Any]:
        policy = keras.dtype_policies.serialize(self.dtype_policy)
        # Lists of its own, as who makes a variant changes them; Keras tracks those in here.
        own = {name: list(value) if isinstance(value, list) else value for name, value in self._config.items()}
        return {"name": self.name, "trainable": self.trainable, "dtype": policy, **own}


def region_sizes(input_size: Sequence[int]) -> list[Size]:
    """(height, width) of a region at the three levels, each twice the next: 24×28, 12×14, 6×7 for 160×64 (§4)."""
    height, width = (round(scale * side / 8) for scale, side in zip(REGION_SCALE, input_size, strict=True))
    return [(4 * height, 4 * width), (2 * height, 2 * width), (height, width)]


def _check(
    num_identities: int, num_regions: int, widths: Sequence[int], input_size: Sequence[int], feature_dim: int
) -> None:
    for name, value in (
        ("num_identities", num_identities),
        ("num_regions", num_regions),
        ("feature_dim", feature_dim),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}.")
    if len(widths) != 3 or any(width < 16 or width % 16 for width in widths):
        raise ValueError(f"widths must be three numbers divisible by 16, one a level, not {tuple(widths)}.")
    if len(input_size) != 2 or any(side < STRIDE or side % STRIDE for side in input_size):
        raise ValueError(
            f"input_size must be (height, width), both divisible by {STRIDE}, not {tuple(input_size)}: "
            "the paper's is (160, 64)."
        )

"""A network for tests of the training loop, in this process or in others."""

import keras

from hacnn_tf.layers import ConvBlock
from hacnn_tf.utils.types import BRANCHES


class TinyNetwork(keras.Model):
    """What the loop needs of a `HACNN`, with one convolution: traced in a tenth of the time."""

    def __init__(self, num_identities, dtype=None, **switches):
        images = keras.Input((160, 64, 3), name="images")
        x = keras.layers.Normalization(mean=[120] * 3, variance=[3600] * 3, dtype=dtype)(images)
        x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(ConvBlock(8, 8, 8, dtype=dtype, name="stem")(x))
        logits = {
            branch: keras.layers.Dense(num_identities, dtype="float32", name=f"{branch}_classifier")(x)
            for branch in (BRANCHES if switches.get("local", True) else BRANCHES[:1])
        }
        super().__init__(inputs=images, outputs=logits, name="tiny")
        unit = keras.layers.UnitNormalization(dtype="float32")(x)
        self.branches = tuple(logits)
        self._features = keras.ops.concatenate([unit] * len(logits), axis=-1)
        self._config = {"num_identities": num_identities, **switches}

    def feature_extractor(self):
        return keras.Model(self.inputs[0], self._features)

    def get_config(self):
        return self._config

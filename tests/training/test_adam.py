"""Adam by TensorFlow's kernel against Keras's."""

import keras
import numpy as np
import tensorflow as tf

from hacnn_tf.training.adam import FusedAdam


def test_equals_keras_with_the_same_variables():
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (5,))]
    results = []
    for cls in (FusedAdam, keras.optimizers.Adam):
        variables = [keras.Variable(value, name=f"v{i}") for i, value in enumerate(start)]
        optimizer = cls(5e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8, name="adam")
        optimizer.build(variables)
        step = tf.function(optimizer.apply)
        gradients = np.random.default_rng(1)
        for _ in range(20):
            step([tf.constant(gradients.normal(size=value.shape), tf.float32) for value in start])
        results.append([variables, optimizer.variables])
    for found, expected in zip(*results, strict=True):
        assert [v.path for v in found] == [v.path for v in expected]
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-7)

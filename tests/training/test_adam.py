"""Adam by TensorFlow's kernel against Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf.training.adam import FusedAdam
from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.recipes import RECIPES


@pytest.mark.parametrize("amsgrad", [False, True])
def test_equals_keras_with_the_same_variables(amsgrad):
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (5,))]
    results = []
    for cls in (FusedAdam, keras.optimizers.Adam):
        variables = [keras.Variable(value, name=f"v{i}") for i, value in enumerate(start)]
        optimizer = cls(5e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8, amsgrad=amsgrad, name="adam")
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


def test_a_model_that_it_trains_is_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(make_optimizer(RECIPES["adamw"], steps=10), "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is FusedAdam
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for found, expected in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(found, expected)

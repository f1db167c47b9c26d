"""Adam in one operation a variable."""

import keras
import tensorflow as tf
from keras import ops


class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` by TensorFlow's own kernel, in one pass over memory instead of ten.

    The same formula and the same variables. Under a `tf.distribute` strategy it is Keras's own code: the kernel takes
    no variables that are spread over devices.
    """

    def update_step(self, gradient, variable, learning_rate):
        if tf.distribute.has_strategy():
            return super().update_step(gradient, variable, learning_rate)
        index = self._get_variable_index(variable)
        step = ops.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(self.beta_1, step),
            beta2_power=ops.power(self.beta_2, step),
            lr=ops.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

"""What the roofline counts, against counts by hand."""

import tensorflow as tf

from benchmarks.gpu.roofline import Count, read_program
from hacnn_tf.evaluation import feature_function
from hacnn_tf.models import HACNN
from hacnn_tf.models.counting import count, kernel_calls

MAP, HALF, KERNEL = 2 * 8 * 8 * 3 * 4, 2 * 4 * 4 * 5 * 4, 3 * 3 * 3 * 5 * 4  # bytes of float32
FLOPS = 2 * (2 * 4 * 4 * 5) * (3 * 3 * 3)


def count_of(function, *shapes):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return Count.of(tf.function(function, jit_compile=True).experimental_get_compiler_ir(*specs)(stage="hlo"))


def conv(images, kernel):
    return tf.nn.conv2d(images, kernel, 2, "SAME")


def test_elementwise_work_is_fused():
    found = count_of(lambda x, k: tf.nn.relu(conv(x * 2 + 1, k) * 3 + 1), (2, 8, 8, 3), (3, 3, 3, 5))
    # The images' scaling is stored once for the conv; the ReLU leaves the program.
    assert found == Count(FLOPS, (2 * MAP) + (MAP + KERNEL + HALF) + 2 * HALF, 3, 1, MAP + KERNEL + HALF + 2 * HALF)


def test_a_batch_norm_reads_its_map_twice():
    def norm(x, k, scale):
        return tf.nn.relu(tf.compat.v1.nn.fused_batch_norm(conv(x, k), scale, scale)[0])

    found = count_of(norm, (2, 8, 8, 3), (3, 3, 3, 5), (5,))
    vector, statistics = 5 * 4, 2 * 5 * 4
    reading = (HALF + vector + statistics) + (HALF + vector + statistics + HALF)
    assert found.bytes == MAP + KERNEL + HALF + reading and found.kernels == 3


def test_both_gradients_of_a_strided_conv_take_as_many_flops_as_it():
    def gradients(x, k):
        with tf.GradientTape() as tape:
            tape.watch([x, k])
            loss = tf.reduce_sum(conv(x, k) ** 2)
        return tape.gradient(loss, [x, k])

    found = count_of(gradients, (2, 8, 8, 3), (3, 3, 3, 5))
    assert found.flops == 3 * FLOPS and found.products == 3


def test_products_of_the_network_are_those_of_its_kernels_crops_and_resizes():
    model = HACNN(3, widths=(16, 32, 48), feature_dim=24)
    images = tf.TensorSpec((2, 160, 64, 3), tf.uint8)
    function = tf.function(feature_function(model), jit_compile=True, autograph=False)
    text = function.experimental_get_compiler_ir(images)(stage="hlo")
    others = 40 * 16 * 9 + 20 * 8 * 9 + 10 * 4 * 6  # resizing spatial attention, a pixel of as many
    sizes = zip((32, 16, 32), ((80, 32), (40, 16), (20, 8)), ((24, 28), (12, 14), (6, 7)), strict=True)
    for channels, (height, width), (rows, columns) in sizes:  # four crops: rows first, then columns
        others += 4 * channels * (rows * height * width + rows * columns * width)
    kernels = count(kernel_calls(model.feature_extractor()))["macs"]
    assert Count.of(text).flops == 2 * 2 * (kernels + others)
    assert sum(i.is_root for i in read_program(text).values()) == 1

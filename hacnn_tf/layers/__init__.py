"""The layers of HA-CNN, each usable in any Keras model. Keras only: they run under every Keras backend."""

from hacnn_tf.layers.batch_norm import BatchNorm
from hacnn_tf.layers.channel_attention import ChannelAttention
from hacnn_tf.layers.conv_block import ConvBlock
from hacnn_tf.layers.hard_attention import HardAttention
from hacnn_tf.layers.inception_a import InceptionA
from hacnn_tf.layers.inception_b import InceptionB
from hacnn_tf.layers.region_crop import RegionCrop
from hacnn_tf.layers.soft_attention import SoftAttention
from hacnn_tf.layers.spatial_attention import SpatialAttention

__all__ = [
    "BatchNorm",
    "ChannelAttention",
    "ConvBlock",
    "HardAttention",
    "InceptionA",
    "InceptionB",
    "RegionCrop",
    "SoftAttention",
    "SpatialAttention",
]

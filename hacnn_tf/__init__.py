"""HA-CNN, the Harmonious Attention network for person re-identification (CVPR 2018), in TensorFlow and Keras."""

__version__ = "0.1.0"

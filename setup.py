"""Packaging. `constraints.txt` holds the versions that this was tested with."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "hacnn_tf/__init__.py").read_text())[1]

PLOT = ["matplotlib>=3.10"]
SEARCH = ["lancedb>=0.40", "sqlglot>=30.30"]
APP = [*PLOT, *SEARCH, "gradio>=6"]
EXPORT = [
    "onnx>=1.19",
    "onnxruntime>=1.22",
    "tf2onnx>=1.17",
    "openvino>=2026.0",
    "nncf>=3.0",
    "ai-edge-litert>=2.0",
]

setup(
    name="hacnn_tf",
    version=VERSION,
    license="Apache-2.0",
    description="HA-CNN, the Harmonious Attention network for person re-identification, in TensorFlow and Keras",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["hacnn_tf", "hacnn_tf.*"]),
    package_data={"hacnn_tf": ["py.typed", "presets/*/*", "paper/published/*.csv"]},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "tensorflow>=2.20",
        "keras>=3.11",
        "numpy>=2.0",
        "pandas>=2.2",
        "pillow>=11",
        "absl-py>=2.1",
        "filelock>=4",
        "h5py>=3.11",
        "scipy>=1.13",
        "tensorboard>=2.20",
        "tqdm>=4.66",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.20"],
        "plot": PLOT,
        "search": SEARCH,
        "app": APP,
        "export": EXPORT,
        "dev": [*APP, *EXPORT, "pytest>=8", "hypothesis>=6", "ruff>=0.9", "mypy>=2", "jax>=0.6", "playwright>=1.50"],
    },
)

#!/usr/bin/env bash
# Compares hacnn_tf with torchreid in PyTorch on this machine; makes the peers' environment in .venv-peers if there is none.
#   bash benchmarks/run.sh [--rounds 5] [--nocompile] [--nolarge]
# Trains four epochs on the synthetic dataset first, in RUN_DIR [runs/benchmark], for a network to measure with.
EXTRAS=dev,gpu? source "$(dirname "${BASH_SOURCE[0]}")/../experiments/setup.sh"
peers=$PWD/.venv-peers
torchreid=torchreid-0.2.5
if [ ! -e "$peers/installed" ]; then
  echo "Installing PyTorch and $torchreid into .venv-peers ..."
  "$python" -m venv --clear "$peers"
  "$peers/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy pillow setuptools \
    onnx onnxscript
  # Its setup.py asks for Cython and NumPy before it tells its version.
  "$peers/bin/python" -m pip install --quiet --disable-pip-version-check cython wheel
  "$peers/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
    --no-build-isolation -d "$peers" "${torchreid/-/==}"
  tar -xzf "$peers/$torchreid.tar.gz" -C "$peers"
  touch "$peers/installed"
fi
run_dir=${RUN_DIR:-runs/benchmark}
"$python" -m hacnn_tf.train --run_dir "$run_dir"
"$python" benchmarks/compare.py --peer_python "$peers/bin/python" --torchreid "$peers/$torchreid" --run_dir "$run_dir" "$@"

#!/usr/bin/env bash
# Lint and the whole test suite; further arguments go to pytest.
EXTRAS=dev source "$(dirname "${BASH_SOURCE[0]}")/../experiments/setup.sh"
"$python" -m ruff check .
"$python" -m pytest "$@"

#!/usr/bin/env bash
# Lint and the test suite; further arguments go to pytest: -m slow for the tests that take minutes.
EXTRAS=dev source "$(dirname "${BASH_SOURCE[0]}")/../experiments/setup.sh"
"$python" -m ruff check .
"$python" -m pytest "$@"

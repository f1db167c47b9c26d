#!/usr/bin/env bash
# Lint, types and the test suite; further arguments go to pytest: -m slow for the tests that take minutes,
# -m "not network" for both, -m network for those that ask the package index, -n 0 for one process instead of two.
EXTRAS=dev source "$(dirname "${BASH_SOURCE[0]}")/../experiments/setup.sh"
"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m mypy
{ type -P chromium || type -P chromium-browser || type -P google-chrome; } > /dev/null ||
  echo "No Chromium here, so the page is not tested in a browser; to have it, install one, as with: apt install chromium"
"$python" -m pytest -n 2 --dist worksteal "$@"

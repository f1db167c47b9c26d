#!/usr/bin/env bash
# Figure 6: regions of hard attention and maps of soft attention. One training a dataset.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" figure6 "$@"

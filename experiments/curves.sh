#!/usr/bin/env bash
# Curves of loss, identity accuracy and CMC. One training a seed.
#   DATASET=synthetic bash experiments/curves.sh
# reproduce.sh lists the variables; Market-1501 if DATASET doesn't say otherwise.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce curves "$@"

#!/usr/bin/env bash
# Curves of loss, identity accuracy and CMC. One training a dataset and seed.
#   DATASET=synthetic bash experiments/curves.sh
# reproduce.sh lists the variables.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce curves "$@"

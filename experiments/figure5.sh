#!/usr/bin/env bash
# Figure 5: example persons, each as two cameras see them. Trains nothing.
#   DATASET=synthetic bash experiments/figure5.sh [--examples 6]
# reproduce.sh lists the variables.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce figure5 "$@"

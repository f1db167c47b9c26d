#!/usr/bin/env bash
# Table 6: without and with cross-attention interaction, on Market-1501 and DukeMTMC-reID. Two trainings a dataset and
# seed, one of them also Table 5's.
#   SEEDS="0 1 2" DATASET=synthetic bash experiments/table6.sh
# reproduce.sh lists the variables.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce table6 "$@"

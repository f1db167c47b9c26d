#!/usr/bin/env bash
# Table 5: no attention, SSA, SCA, SSA+SCA, HRA, all, on Market-1501 and DukeMTMC-reID. Six trainings a dataset and seed.
#   SEEDS="0 1 2" DATASET=synthetic bash experiments/table5.sh
# reproduce.sh lists the variables.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce table5 "$@"

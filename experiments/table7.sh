#!/usr/bin/env bash
# Table 7: the global, the local and the joint feature, on Market-1501 and DukeMTMC-reID. One training a dataset and seed.
#   SEEDS="0 1 2" DATASET=synthetic bash experiments/table7.sh
# reproduce.sh lists the variables.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce table7 "$@"

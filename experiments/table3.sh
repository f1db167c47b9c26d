#!/usr/bin/env bash
# Table 3: DukeMTMC-reID. One training a seed.
#   DATA_ROOT=/path/to/datasets bash experiments/table3.sh
# reproduce.sh lists the variables; DATASET=synthetic needs no dataset.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce table3 "$@"

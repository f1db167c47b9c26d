#!/usr/bin/env bash
# Table 2: Market-1501, single- and multi-query. One training a seed.
#   SEEDS="0 1 2" DATA_ROOT=/path/to/datasets bash experiments/table2.sh
# reproduce.sh lists the variables; DATASET=synthetic needs no dataset.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce table2 "$@"

#!/usr/bin/env bash
# Table 1: the evaluation protocol, counted from the datasets that are there. Trains nothing.
#   DATA_ROOT=/path/to/datasets bash experiments/table1.sh
# reproduce.sh lists the variables.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce table1 "$@"

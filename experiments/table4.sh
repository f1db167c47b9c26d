#!/usr/bin/env bash
# Table 4: CUHK03 767/700, labelled and detected boxes. Two trainings a seed.
#   DATA_ROOT=/path/to/datasets bash experiments/table4.sh
# reproduce.sh lists the variables; DATASET=synthetic needs no dataset.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce table4 "$@"

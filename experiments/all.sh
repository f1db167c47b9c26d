#!/usr/bin/env bash
# Every table and figure that the datasets at hand allow, and one page with all of them: results/report.html.
#   DATASET=synthetic bash experiments/all.sh
# reproduce.sh lists the variables. A dataset that is not there is named before the training, and left out.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce all --skip_missing "$@"

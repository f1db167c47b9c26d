#!/usr/bin/env bash
# Every table and figure that the datasets at hand allow, and one page with all of them: results/report.html.
#   DATASET=synthetic bash experiments/all.sh
# reproduce.sh lists the variables. A dataset that is not there is named at the end and left out.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce table1,table2,table3,table4,table5,table6,table7,table8,figure5,figure6,ranking,curves --skip_missing "$@"
"$python" -m hacnn_tf.report --runs_dir "${RUNS:-runs}" --results_dir "${RESULTS:-results}"

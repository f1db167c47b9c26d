#!/usr/bin/env bash
# Every table and figure that the datasets at hand allow, and results/report.html with all of them.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" all --skip_missing "$@"

#!/usr/bin/env bash
# Queries and their ten nearest gallery images, right and wrong ones framed. One training a dataset.
#   DATASET=synthetic bash experiments/ranking.sh [--examples 6]
# reproduce.sh lists the variables.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce ranking "$@"

#!/usr/bin/env bash
# Queries and their ten nearest gallery images, right and wrong ones framed. One training.
#   DATASET=synthetic bash experiments/ranking.sh [--examples 6]
# reproduce.sh lists the variables; Market-1501 if DATASET doesn't say otherwise.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce ranking "$@"

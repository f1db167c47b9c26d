#!/usr/bin/env bash
# Table 8: FLOPs, weights and depth of HA-CNN and of well-known networks, counted on their graphs. Trains nothing.
#   bash experiments/table8.sh
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce table8 "$@"

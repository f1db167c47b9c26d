#!/usr/bin/env bash
# Training images as the network sees them under the recipe "strong", epoch by epoch. Trains nothing.
#   DATASET=synthetic bash experiments/augmentation.sh [--examples 6]
# reproduce.sh lists the variables.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce augmentation "$@"

#!/usr/bin/env bash
# Figure 6: images, and at each level the four regions of hard attention and the map of soft attention. One training a dataset.
#   DATASET=synthetic bash experiments/figure6.sh [--images one.jpg,two.jpg | --examples 6]
# reproduce.sh lists the variables.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"
reproduce figure6 "$@"

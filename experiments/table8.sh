#!/usr/bin/env bash
# Table 8: FLOPs, weights and depth, counted on the networks' graphs. Trains nothing.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" table8 "$@"

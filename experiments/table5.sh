#!/usr/bin/env bash
# Table 5: each kind of attention, on Market-1501 and DukeMTMC-reID. Six trainings a dataset and seed.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" table5 "$@"

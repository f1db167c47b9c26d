#!/usr/bin/env bash
# Table 6: interaction (CAIL), on the same. Two trainings a dataset and seed, one of them Table 5's.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" table6 "$@"

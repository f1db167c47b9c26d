#!/usr/bin/env bash
# Table 4: CUHK03 767/700, labelled and detected boxes. Two trainings a seed.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" table4 "$@"

#!/usr/bin/env bash
# Table 3: DukeMTMC-reID. One training a seed.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" table3 "$@"

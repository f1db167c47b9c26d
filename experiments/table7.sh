#!/usr/bin/env bash
# Table 7: global, local and joint feature, on the same. One training a dataset and seed, Table 5's.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" table7 "$@"

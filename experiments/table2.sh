#!/usr/bin/env bash
# Table 2: Market-1501, single- and multi-query. One training a seed.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" table2 "$@"

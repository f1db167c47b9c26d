#!/usr/bin/env bash
# Table 1: the protocol, counted from the datasets that are there. Trains nothing.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" table1 "$@"

#!/usr/bin/env bash
# Curves of loss, identity accuracy and CMC. One training a dataset and seed.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" curves "$@"

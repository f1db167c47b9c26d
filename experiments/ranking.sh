#!/usr/bin/env bash
# Queries and their ten nearest gallery images, right and wrong framed. One training a dataset.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" ranking "$@"

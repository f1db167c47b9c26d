#!/usr/bin/env bash
# Figure 5: persons, each as two cameras see them. Trains nothing.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" figure5 "$@"

#!/usr/bin/env bash
# Training images as the network sees them under the recipe strong. Trains nothing.
source "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh" augmentation "$@"

#!/usr/bin/env bash
# `current` is the release before this one again: serve that.
set -euo pipefail
exec "$(dirname "$0")/restart.sh"

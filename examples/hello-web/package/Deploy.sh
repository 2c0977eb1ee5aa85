#!/usr/bin/env bash
# What outlives releases: the log and the pid file. `current` is switched after this.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p ../../shared

#!/usr/bin/env bash
# `current` is this release now: serve it. On a real server this is one line,
# systemctl restart shop
set -euo pipefail
exec "$(dirname "$0")/restart.sh"

#!/usr/bin/env bash
# Before anything is switched: can this release run here at all?
set -euo pipefail
cd "$(dirname "$0")"
[[ -x bin/hello-web ]] || { echo 'bin/hello-web: not in this package' >&2; exit 65; }

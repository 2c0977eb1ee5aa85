#!/usr/bin/env bash
# Is the server here well? Asks it over HTTP, with nothing but bash.
set -euo pipefail
listen=${HELLO_LISTEN:-127.0.0.1:8080}
exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}"
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
answer=$(tr -d '\r' <&3)
echo "hello-web: ${answer##*$'\n'}"
[[ $answer == 'HTTP/1.1 200 '* ]]

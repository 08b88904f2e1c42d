#!/usr/bin/env bash
# A launcher: starts one run as N processes on this machine.
#
#   examples/own_parts/launch.sh N COMMAND...
#
# A launcher starts the same command once for each process, with the three
# variables below, and exits with the code of the first process that failed;
# after 143 and 75 start it again. launch/local.sh does more.
set -euo pipefail
count=$1
shift
export JAX_NUM_PROCESSES=$count
export JAX_COORDINATOR_ADDRESS=127.0.0.1:${PORT:-29500}
trap 'kill -TERM $(jobs -p)' TERM INT HUP
for ((i = 0; i < count; i++)); do
  JAX_PROCESS_ID=$i "$@" &
done
code=0
for ((i = 0; i < count; i++)); do
  wait -n || code=$((code ? code : $?))
done
exit "$code"

#!/usr/bin/env bash
# Starts one run as N processes on this machine.
#
#   launch/local.sh N COMMAND...
#   launch/local.sh 2 python -m vit_jax train --config=... --workdir=...
#
# Process i gets the variables that `vit_jax` reads: JAX_COORDINATOR_ADDRESS (a
# free port of this machine), JAX_NUM_PROCESSES, JAX_PROCESS_ID, and
# JAX_LOCAL_DEVICE_IDS, so that on GPUs process i uses GPU i. The caller may set
# JAX_NUM_CPU_DEVICES.
#
# On several machines also set NODES, NODE (from 0) and COORDINATOR (HOST:PORT
# of node 0), and start the same line on each. In a pod of a Kubernetes Indexed
# Job NODE defaults to the pod's index.
#
# Logs are in LOG_DIR/process-I.log (default: logs); process 0 also prints to
# the terminal. Ctrl-C and SIGTERM go to all processes. When one fails, the
# others get SIGTERM, and SIGKILL GRACE seconds (120) later. The exit code is
# that of the first process that failed, which is the cause; after 143 try
# again.

# Own process groups: a terminal's Ctrl-C reaches only this script.
set -muo pipefail

fail() {
  echo "local.sh: $*" >&2
  exit 2
}

(($# >= 2)) || fail "usage: local.sh N COMMAND..."
[[ $1 =~ ^[1-9][0-9]{0,3}$ ]] || fail "N=$1 must be a number from 1 to 9999"
count=$1
shift
command -v "$1" >/dev/null || fail "$1 is not a command"
nodes=${NODES:-1} node=${NODE:-${JOB_COMPLETION_INDEX:-0}} grace=${GRACE:-120} logs=${LOG_DIR:-logs}
for number in "$nodes" "$node" "$grace"; do
  [[ $number =~ ^[0-9]+$ ]] || fail "NODES, NODE and GRACE must be numbers"
done
((node < nodes)) || fail "NODE=$node must be less than NODES=$nodes"
((nodes == 1)) || [[ ${COORDINATOR:-} == *:* ]] ||
  fail "COORDINATOR=${COORDINATOR:-} must be HOST:PORT of node 0"
mkdir -p "$logs" || exit 2

free_port() {
  # Below the range of ports that the kernel uses for outgoing connections.
  local port
  while port=$((20000 + RANDOM % 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

export JAX_COORDINATOR_ADDRESS=${COORDINATOR:-127.0.0.1:$(free_port)}
export JAX_NUM_PROCESSES=$((nodes * count))
pids=() killer=

stop() {
  ((${#pids[@]})) && kill "-$1" "${pids[@]}" 2>/dev/null
  [[ -n $killer ]] && return
  # A process that does not end on its own must not block the others forever.
  (
    sleep "$grace"
    kill -KILL "${pids[@]}"
  ) >/dev/null 2>&1 &
  killer=$!
}

exec 3> >(exec tee "$logs/process-$((node * count)).log")
tee=$!
for ((i = 0; i < count; i++)); do
  export JAX_PROCESS_ID=$((node * count + i)) JAX_LOCAL_DEVICE_IDS=$i
  if ((i == 0)); then
    "$@" >&3 2>&3 3>&- &
  else
    "$@" >"$logs/process-$JAX_PROCESS_ID.log" 2>&1 3>&- &
  fi
  pids+=($!)
done
trap 'stop TERM' TERM
# The terminal was closed; under nohup this has no effect.
trap 'stop TERM' HUP
trap 'stop INT' INT
exec 3>&-

code=0
while ((${#pids[@]})); do
  # Without the redirection bash would print how each process died.
  wait -n -p ended "${pids[@]}" 2>/dev/null
  status=$?
  if [[ -z ${ended:-} ]]; then
    # A signal interrupted `wait`, or two processes ended at once: bash 5.2 then
    # reports the second only if it is asked for by its id.
    for pid in "${pids[@]}"; do
      kill -0 "$pid" 2>/dev/null && continue
      wait "$pid" 2>/dev/null
      status=$? ended=$pid
      break
    done
    [[ -n ${ended:-} ]] || continue
  fi
  for i in "${!pids[@]}"; do
    ((pids[i] == ended)) && unset "pids[i]"
  done
  if ((status)); then
    ((code)) || code=$status
    stop TERM
  fi
done
[[ -n $killer ]] && kill -- "-$killer" 2>/dev/null && wait "$killer" 2>/dev/null
wait "$tee"
exit "$code"

#!/usr/bin/env bash
# launch/tpu_vm.py calls this over ssh on each worker of a TPU slice.
#
#   tpu_worker.sh install     makes the environment .venv from the lock file
#   tpu_worker.sh train ...   trains detached from ssh, and follows the log
#   tpu_worker.sh stop        sends SIGTERM: the run saves and ends
#
# `train` joins a run that is still in progress. Its last line tells tpu_vm.py
# the exit code, which gcloud does not do for several workers.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
state=$PWD/../vit_jax_run

install() {
  # The images of TPU VMs are Ubuntu 22.04, whose own Python is 3.10.
  command -v python3.11 python3.12 python3.13 >/dev/null || { # any of them
    sudo apt-get -q update &&
      sudo apt-get -qy -o DPkg::Lock::Timeout=300 install \
        make python3.11 python3.11-venv
  } || exit 1
  make .venv/package.installed
}

runs() { [[ -e $state/pid ]] && kill -0 "$(<"$state/pid")" 2>/dev/null; }

train() {
  mkdir -p "$state"
  if ! runs; then
    rm -f "$state/code"
    # The inner shell survives the signal, to record how the run ended.
    # shellcheck disable=SC2016
    STATE=$state PYTHONUNBUFFERED=1 setsid nohup bash -c '
      trap : TERM
      "$@" >"$STATE/log" 2>&1
      echo $? >"$STATE/code"
    ' - .venv/bin/python -m vit_jax train "$@" </dev/null >/dev/null 2>&1 &
    echo $! >"$state/pid"
  fi
  tail --lines=+1 --sleep-interval=0.2 --pid="$(<"$state/pid")" \
    --follow=name --retry "$state/log" 2>/dev/null
  echo "vit_jax on $(hostname): exit code $(<"$state/code")"
}

stop() { runs && pkill -TERM -P "$(<"$state/pid")"; }

case ${1:-} in
install | train | stop) "$@" ;;
*)
  echo "usage: $0 install | train ARGUMENTS... | stop" >&2
  exit 2
  ;;
esac

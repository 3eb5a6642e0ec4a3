#!/usr/bin/env bash
# Runs the batch scripts of this folder on a real SLURM cluster of hosts out of namespaces, and says what held.
#
#   deploy/slurm/check.sh           about two minutes; needs root and the packages of deploy/apt-packages-cluster.txt
#   deploy/slurm/check.sh --all     also takes a node's power away, which SLURM needs half a minute to notice
#
# Where namespaces or SLURM are missing it says so, and ends with 0.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

[ $# -eq 0 ] || [ "$*" = --all ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 64; }

here=$repository/deploy/slurm
cluster=$here/cluster.sh
hosts=$repository/deploy/cluster/hosts.sh
reason=$("$cluster" possible) || { echo "SLURM checks skipped: $reason"; exit 0; }

require_swift
build_release --product unbraid
build_release --product unbraid-bench
use_this_machine_for_mpi
unbraid=$products/unbraid
export UNBRAID=$unbraid

work=$(mktemp -d "${TMPDIR:-/tmp}/unbraid-slurm.XXXXXX")
export UNBRAID_HOSTS=$work/hosts
failures=0
background=()

clean_up() {
  # The processes that stop ranks first: they hold on to what is about to end.
  [ ${#background[@]} -eq 0 ] || kill "${background[@]}" 2>/dev/null || true
  "$cluster" down || true
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ok() { printf 'ok    %s (%d s)\n' "$1" $((SECONDS - $2)); }

failed() {
  printf 'FAIL  %s: %s\n' "$1" "$2"
  [ ! -e "${3:-}" ] || sed 's/^/      | /' "$3"
  failures=$((failures + 1))
}

slurm() { "$cluster" exec head timeout -s KILL 60 "$@"; }

# submit NODES LOG OPTIONS... SCRIPT ARGUMENTS...: prints the job's number. One rank a node, two threads a rank.
submit() {
  slurm sbatch --parsable --nodelist="$1" --output="$2" --ntasks-per-node=1 --cpus-per-task=2 "${@:3}"
}

# A job's state in SLURM's words; of an array, that of one task, such as 12_3.
state() { slurm squeue -h -j "$1" -t all -o %T; }

# Waits until a job has ended for good, and prints how: nothing, if that takes longer than so many seconds.
ending() {
  local until=$((SECONDS + $2)) state
  while [ $SECONDS -lt $until ]; do
    state=$(state "$1")
    case "$state" in
    COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) echo "$state"; return ;;
    esac
    sleep 0.5
  done
}

# Waits until a file holds a text.
await() {
  local until=$((SECONDS + $3))
  until grep -qs -- "$2" "$1"; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.2
  done
}

starts() { grep -c ': start ' "$1" || true; }

# Whether two adapters are equal but for the times in their reports.
same_adapter() { diff -rq -x report.json "$1" "$2"; }

# The processes of unbraid on some hosts.
ranks() {
  local host process
  for host in "$@"; do
    for process in $("$hosts" processes "$host"); do
      [ "$(readlink "/proc/$process/exe")" != "$unbraid" ] || echo "$process"
    done
  done
}

# --- The checks. Those that wait for SLURM's clock start first, the others run beside them. ---

# On two nodes, as fast as this machine is.
check_extract() {
  local launcher=$1 since=$SECONDS name="extract.sbatch on two nodes with $1 writes the bytes of one rank" job
  job=$(UNBRAID_LAUNCHER=$launcher submit node7,node8 "$work/$launcher.log" --nodes=2 --time=5 \
    "$here/extract.sbatch" "${small[@]}" -o "$work/$launcher")
  if [ "$(ending "$job" 120)" != COMPLETED ]; then
    failed "$name" "the job did not complete" "$work/$launcher.log"
  elif ! same_adapter "$work/one" "$work/$launcher"; then
    failed "$name" "the files differ" "$work/$launcher.log"
  else
    ok "$name" "$since"
  fi
}

# A job that cannot succeed: the same exit code again and again would be a waste of an allocation.
check_ends_with() {
  local code=$1 name=$2 script=$3 since=$SECONDS launcher job log
  for launcher in srun mpirun; do
    log=$work/$(basename "$script")-$code-$launcher.log
    job=$(UNBRAID_LAUNCHER=$launcher submit node7,node8 "$log" --nodes=2 --time=5 "$script" "${@:4}")
    if [ "$(ending "$job" 60)" != FAILED ] || [ "$(starts "$log")" != 1 ] ||
      ! grep -q "the command ended with $code\$" "$log"; then
      failed "$name" "the job should have failed with $code at its first start ($launcher)" "$log"
      return
    fi
  done
  ok "$name" "$since"
}

check_cancelled() {
  local name="a cancelled job is not queued again" since=$SECONDS log=$work/cancelled.log job
  job=$(submit node7,node8 "$log" --nodes=2 --time=5 "$here/extract.sbatch" "${long[@]}" -o "$work/cancelled")
  await "$log" ": start 1" 60 || true
  sleep 2
  slurm scancel "$job"
  if [ "$(ending "$job" 60)" != CANCELLED ] || [ "$(starts "$log")" != 1 ]; then
    failed "$name" "its state is $(state "$job"), it started $(starts "$log") times" "$log"
  else
    ok "$name" "$since"
  fi
}

# A node without power: mpirun notices at once, and job.sh queues the job; under srun SLURM itself does, later.
check_lost_node() {
  local launcher=$1 name="a job that lost a node is queued again and ends as if it had not ($1)" since=$SECONDS
  local log=$work/lost-$1.log job
  job=$(UNBRAID_LAUNCHER=$launcher submit node7,node8 "$log" --nodes=2 --time=5 "$here/extract.sbatch" "${long[@]}" \
    -o "$work/lost-$launcher")
  await "$log" "tensors, " 60 || true
  "$hosts" off node8
  [ "$launcher" = mpirun ] || await "$UNBRAID_HOSTS/slurm/log/jobs" "JobId=$job .*NODE_FAIL" 120 || true
  "$cluster" boot node8
  if [ "$(ending "$job" 120)" != COMPLETED ] || [ "$(starts "$log")" != 2 ]; then
    failed "$name" "its state is $(state "$job"), it started $(starts "$log") times" "$log"
  elif ! same_adapter "$work/long" "$work/lost-$launcher"; then
    failed "$name" "the files differ from those of one undisturbed rank" "$log"
  else
    ok "$name" "$since"
  fi
}

# With a program that ends as its task is to end: one stops at its first start, one at every start, one never.
start_array() {
  cat >"$work/stand-in" <<'PROGRAM'
#!/bin/sh
case "$SLURM_ARRAY_TASK_ID:${SLURM_RESTART_COUNT:-0}" in
0:0 | 1:* | 3:0) exit 75 ;;
esac
PROGRAM
  chmod +x "$work/stand-in"
  array_since=$SECONDS
  array_job=$(UNBRAID=$work/stand-in UNBRAID_RESTARTS=1 submit node8 "$work/array-%a.log" --nodes=1 --array=0-3 \
    --cpus-per-task=1 "$here/sweep.sbatch" plan)
}

check_array() {
  local name="a stopped task of an array is queued again alone, and as often as allowed" index found=
  for index in 0 1 2 3; do
    found+="$(ending "${array_job}_$index" 60) after $(starts "$work/array-$index.log"), "
  done
  if [ "$found" != "COMPLETED after 2, FAILED after 2, COMPLETED after 1, COMPLETED after 2, " ]; then
    cat "$work"/array-?.log >"$work/array.log"
    failed "$name" "the tasks ended $found" "$work/array.log"
  else
    ok "$name" "$array_since"
  fi
}

# Slow nodes, so that the job is not done when SLURM announces the limit: it looks every 30 s, and asks for the first
# time when the job starts. The time limit has no finer unit than a minute.
start_stopped() {
  local launcher=$1 nodes=$2
  stopped_since[$launcher]=$SECONDS
  stopped_job[$launcher]=$(UNBRAID_LAUNCHER=$launcher submit "$nodes" "$work/stopped-$launcher.log" --nodes=2 --time=1 \
    --signal=B:USR1@50 "$here/extract.sbatch" "${long[@]}" -o "$work/stopped-$launcher")
}

check_stopped() {
  local launcher=$1 nodes=$2 name="a job short of time stops, is queued again and carries on ($1)" log node
  log=$work/stopped-$launcher.log
  if ! await "$log" "the command ended with" 90; then
    failed "$name" "SLURM announced nothing" "$log"
    return
  fi
  for node in ${nodes/,/ }; do "$hosts" slow "$node" 100; done
  if [ "$(ending "${stopped_job[$launcher]}" 120)" != COMPLETED ]; then
    failed "$name" "the job did not complete" "$log"
  elif ! grep -q "asking all ranks to stop" "$log" || ! grep -q "the command ended with \(75\|138\)" "$log"; then
    failed "$name" "the first start was not stopped with 75" "$log"
  elif ! same_adapter "$work/long" "$work/stopped-$launcher"; then
    failed "$name" "the files differ from those of one undisturbed rank" "$log"
  else
    ok "$name: $(starts "$log") starts" "${stopped_since[$launcher]}"
  fi
}

# Ranks that answer to no signal, as in a system call that does not return: only SIGKILL ends them.
#
# SLURM wakes a stopped process before it asks it to end, so they are stopped over and over.
hang() {
  local processes
  while :; do
    processes=$(ranks "$@")
    # shellcheck disable=SC2086
    timeout 1 bash -c 'while kill -STOP "$@" 2>/dev/null; do sleep 0.005; done' hang $processes || true
  done
}

start_killed() {
  killed_since=$SECONDS
  killed_job=$(submit node5,node6 "$work/killed.log" --nodes=2 --time=1 --signal=B:USR1@1 \
    "$here/extract.sbatch" "${long[@]}" -o "$work/killed")
  (
    await "$work/killed.log" ": start 1" 60
    sleep 12
    hang node5 node6
  ) &
  background+=($!)
}

check_killed() {
  local name="a job killed at its time limit is queued again by itself and carries on" log=$work/killed.log
  if ! await "$log" "the time limit ends the job" 150; then
    failed "$name" "the limit did not end it" "$log"
    return
  fi
  await "$log" "the command ended with" 30 || true
  kill "${background[@]}"
  background=()
  for node in node5 node6; do "$hosts" slow "$node" 100; done
  if [ "$(ending "$killed_job" 120)" != COMPLETED ]; then
    failed "$name" "the job did not complete" "$log"
  elif ! grep -q TIMEOUT "$UNBRAID_HOSTS/slurm/log/jobs"; then
    failed "$name" "SLURM recorded no job that ran out of time" "$UNBRAID_HOSTS/slurm/log/jobs"
  elif ! same_adapter "$work/long" "$work/killed"; then
    failed "$name" "the files differ from those of one undisturbed rank" "$log"
  else
    ok "$name: $(starts "$log") starts" "$killed_since"
  fi
}

declare -A stopped_job stopped_since

say "a cluster of eight nodes"
since=$SECONDS
"$cluster" up 8
ok "slurmctld and eight slurmd" "$since"
"$products/unbraid-bench" make-pair "$work/pair" --hidden 1024 --ffn 2816 --layers 4
pair=("$work/pair/base" "$work/pair/tuned")
small=("${pair[@]}" --rank 16)
long=("${pair[@]}" --rank 16 --method dense)

say "jobs"
for node in node1 node2 node3 node4 node5 node6; do "$hosts" slow "$node" 10; done
start_stopped srun node1,node2
start_stopped mpirun node3,node4
start_killed
"$unbraid" extract "${small[@]}" -o "$work/one" >/dev/null 2>&1
check_extract srun
check_extract mpirun
start_array
mkdir "$work/damaged"
head -c 1000 "$work/pair/base/model.safetensors" >"$work/damaged/model.safetensors"
check_ends_with 65 "a job whose models are damaged is not queued again" \
  "$here/extract.sbatch" "$work/damaged" "$work/pair/tuned" -o "$work/none"
# Waits for the command: until it exists, this tries what the script shares with the others.
check_ends_with 64 "a job whose command line is wrong is not queued again (joint.sbatch)" \
  "$here/joint.sbatch" --no-such-option
check_cancelled
check_array
"$unbraid" extract "${long[@]}" -o "$work/long" >/dev/null 2>&1
check_lost_node mpirun
check_stopped srun node1,node2
check_stopped mpirun node3,node4
check_killed
[ "${1:-}" != --all ] || check_lost_node srun

say "$((SECONDS)) s, $failures failed"
[ "$failures" -eq 0 ]

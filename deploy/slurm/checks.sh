# Sourced by check-slurm.sh: what is checked of the batch scripts, each in a function of its own.
#
# A check is given its nodes and has them alone. Those that wait for SLURM's clock have two parts, start_ and check_.

declare -A stopped_job stopped_since killed_job killed_since
attendants=()

prepare_inputs() {
  export UNBRAID=$products/unbraid
  "$products/unbraid-bench" make-pair "$work/pair" --hidden 1024 --ffn 2816 --layers 4 >/dev/null
  pair=("$work/pair/base" "$work/pair/tuned")
  # The same modules quickly and slowly: LAPACK's full SVD takes a second each.
  short=("${pair[@]}" --rank 16)
  long=("${pair[@]}" --rank 16 --method dense)
  "$UNBRAID" extract "${short[@]}" -o "$work/short" >"$work/log" 2>&1 || failed "one rank alone ended with $?"
  "$UNBRAID" extract "${long[@]}" -o "$work/long" >"$work/log" 2>&1 || failed "one rank alone ended with $?"
  mkdir "$work/damaged"
  head -c 1000 "$work/pair/base/model.safetensors" >"$work/damaged/model.safetensors"
}

# Attendants go first: they hold on to hosts that are about to end.
end_slurm_check() {
  trap '' INT TERM HUP
  [ ${#attendants[@]} -eq 0 ] || kill "${attendants[@]}" 2>/dev/null || true
  end_check
}

on_head() { "$slurm/cluster.sh" exec head timeout -s KILL 60 "$@"; }

# submit NODES LOG OPTIONS... SCRIPT ARGUMENTS...: prints the job's number. One rank a node, two threads a rank.
submit() {
  on_head sbatch --parsable --nodelist="$1" --output="$2" --ntasks-per-node=1 --cpus-per-task=2 "${@:3}"
}

# A job's state in SLURM's words; of an array, that of one task, such as 12_3.
state() { on_head squeue -h -j "$1" -t all -o %T; }

# Waits until a job has ended for good, and prints how: nothing, if that takes more than so many seconds.
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

# Waits until a file holds a text, for so many seconds.
await() {
  local until=$((SECONDS + $3))
  until grep -qs -- "$2" "$1"; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.2
  done
}

# Waits until a job has finished a tensor that it can carry on from.
await_journal() {
  local until=$((SECONDS + 60))
  until compgen -G "$1.partial/journal/*.safetensors" >/dev/null; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.2
  done
}

starts() { grep -c ': start ' "$1" || true; }

# Ends the check with what a job printed.
job_failed() {
  cp "$1" "$work/log" 2>/dev/null || true
  failed "${@:2}"
}

# require_adapter LOG JOB EXPECTED ADAPTER: the job completes within two minutes, with the bytes of one rank.
require_adapter() {
  [ "$(ending "$2" 120)" = COMPLETED ] || job_failed "$1" "job $2 is $(state "$2") and not COMPLETED"
  same_adapter "$3" "$4" || job_failed "$1" "job $2 made another adapter than one undisturbed rank"
}

# require_carried_over LOG ADAPTER: the last start found so many (count) tensors finished, and not none.
require_carried_over() {
  count=$(sed -n 's/^ *"carriedOverCount" *: *\([0-9]*\),*$/\1/p' "$2/report.json")
  [ "${count:-0}" -gt 0 ] || job_failed "$1" "the last start did everything anew"
}

# On two nodes, as fast as this machine is.
check_extract() {
  local launcher=$1 log=$work/extract-$1.log since job
  since=$(seconds)
  job=$(UNBRAID_LAUNCHER=$launcher submit node7,node8 "$log" --nodes=2 --time=10 \
    "$slurm/extract.sbatch" "${short[@]}" -o "$work/extract-$launcher")
  require_adapter "$log" "$job" "$work/short" "$work/extract-$launcher"
  grep -q ": start 1 .*: $launcher " "$log" || job_failed "$log" "the job was not started by $launcher"
  passed "two nodes, $launcher: the adapter of one rank, $(since "$since") s"
}

check_joint() {
  local log=$work/joint.log since job file
  since=$(seconds)
  "$UNBRAID" joint "${pair[@]}" --rank 8 --targets down_proj -o "$work/joint-alone" >"$work/log" 2>&1 ||
    failed "a joint decomposition on one rank alone ended with $?"
  job=$(submit node7,node8 "$log" --nodes=2 --time=10 \
    "$slurm/joint.sbatch" "${pair[@]}" --rank 8 --targets down_proj -o "$work/joint")
  [ "$(ending "$job" 120)" = COMPLETED ] || job_failed "$log" "job $job is $(state "$job") and not COMPLETED"
  for file in decomposition.json group-001.safetensors; do
    cmp -s "$work/joint-alone/$file" "$work/joint/$file" ||
      job_failed "$log" "two nodes made another $file than one rank alone"
  done
  passed "a joint decomposition on two nodes: the files of one rank, $(since "$since") s"
}

# A job that cannot succeed: the same exit code again and again would be a waste of an allocation.
check_ends_with() {
  local code=$1 what=$2 script=$3 since launcher job log
  since=$(seconds)
  for launcher in srun mpirun; do
    log=$work/ends-with-$code-$launcher.log
    job=$(UNBRAID_LAUNCHER=$launcher submit node7,node8 "$log" --nodes=2 --time=10 "$script" "${@:4}")
    [ "$(ending "$job" 60)" = FAILED ] && [ "$(starts "$log")" = 1 ] &&
      grep -q "the command ended with $code\$" "$log" ||
      job_failed "$log" "a job $what should fail with $code at its first start ($launcher)"
  done
  passed "a job $what ends with $code and is not queued again, $(since "$since") s"
}

check_cancelled() {
  local since log=$work/cancelled.log job attempt
  since=$(seconds)
  job=$(submit node7,node8 "$log" --nodes=2 --time=10 "$slurm/extract.sbatch" "${long[@]}" -o "$work/cancelled")
  # In work, and long before its end: the first results are on disk.
  for ((attempt = 0; attempt < 600; attempt++)); do
    [ ! -e "$work/cancelled.partial/journal/000001.safetensors" ] || break
    sleep 0.1
  done
  [ -e "$work/cancelled.partial/journal/000001.safetensors" ] || job_failed "$log" "the job does not start"
  on_head scancel "$job"
  [ "$(ending "$job" 60)" = CANCELLED ] && [ "$(starts "$log")" = 1 ] ||
    job_failed "$log" "a cancelled job is $(state "$job") after $(starts "$log") starts"
  passed "a cancelled job is not queued again, $(since "$since") s"
}

# With a program in unbraid's place: of four tasks two stop at their first start, one at every start, one never.
start_array() {
  cat >"$work/stops" <<'PROGRAM'
#!/bin/sh
case "$SLURM_ARRAY_TASK_ID:${SLURM_RESTART_COUNT:-0}" in
0:0 | 1:* | 3:0) exit 75 ;;
esac
PROGRAM
  chmod +x "$work/stops"
  array_since=$(seconds)
  array_job=$(UNBRAID=$work/stops UNBRAID_RESTARTS=1 submit node8 "$work/array-%a.log" --nodes=1 --array=0-3 \
    --cpus-per-task=1 "$slurm/sweep.sbatch" plan)
}

check_array() {
  local task found=
  for task in 0 1 2 3; do
    found+="$(ending "${array_job}_$task" 60) $(starts "$work/array-$task.log"), "
  done
  cat "$work"/array-?.log >"$work/array.log"
  [ "$found" = "COMPLETED 2, FAILED 2, COMPLETED 1, COMPLETED 2, " ] ||
    job_failed "$work/array.log" "the tasks of the array ended thus, after so many starts: $found"
  passed "stopped tasks of an array are queued again alone, as often as allowed, $(since "$array_since") s"
}

# Two groups of experiments as two tasks of an array, beside each other on one node.
check_sweep() {
  local since log=$work/sweep.log folder job index adapter count=0
  since=$(seconds)
  for folder in alone array; do
    mkdir "$work/$folder"
    cat >"$work/$folder/plan.yaml" <<PLAN
output: sweep
pairs:
  - {name: pair, base: ${pair[0]}, tuned: ${pair[1]}}
ranks: [8, 16]
tolerances: [1e-2, 1e-3]
PLAN
  done
  "$UNBRAID" sweep "$work/alone/plan.yaml" >"$work/log" 2>&1 || failed "a sweep on one rank alone ended with $?"
  job=$(submit node8 "$work/sweep-%a.log" --nodes=1 --time=10 --array=0-1 --cpus-per-task=1 \
    "$slurm/sweep.sbatch" "$work/array/plan.yaml")
  for index in 0 1; do
    [ "$(ending "${job}_$index" 120)" = COMPLETED ] ||
      job_failed "$work/sweep-$index.log" "task $index of the sweep is $(state "${job}_$index") and not COMPLETED"
  done
  cat "$work"/sweep-?.log >"$log"
  for adapter in "$work"/alone/sweep/*/adapter_config.json; do
    adapter=$(basename "$(dirname "$adapter")")
    same_adapter "$work/alone/sweep/$adapter" "$work/array/sweep/$adapter" ||
      job_failed "$log" "the array made another $adapter than one rank alone"
    count=$((count + 1))
  done
  [ "$count" -eq 4 ] || job_failed "$log" "the sweep of 4 experiments made $count adapters"
  passed "a sweep as an array: the $count adapters of one rank, $(since "$since") s"
}

# With a program in unbraid's place that makes nothing: launchers end with 0 as well when they have lost their ranks.
check_no_output() {
  local since log=$work/no-output.log job
  since=$(seconds)
  job=$(UNBRAID=$(type -P true) UNBRAID_RESTARTS=1 submit node7,node8 "$log" --nodes=2 --time=10 \
    "$slurm/extract.sbatch" "${short[@]}" -o "$work/no-output")
  [ "$(ending "$job" 60)" = FAILED ] && [ "$(starts "$log")" = 2 ] ||
    job_failed "$log" "a job without output is $(state "$job") after $(starts "$log") starts"
  passed "a job that ends with 0 and no output is queued again, $(since "$since") s"
}

# A node loses its power for as long as the job runs on without it.
check_lost_node() {
  local launcher=$1 log=$work/lost-$1.log since job count
  since=$(seconds)
  slow_down node7,node8
  job=$(UNBRAID_LAUNCHER=$launcher submit node7,node8 "$log" --nodes=2 --time=10 \
    "$slurm/extract.sbatch" "${long[@]}" -o "$work/lost-$launcher")
  await_journal "$work/lost-$launcher" || job_failed "$log" "no tensor was finished"
  hosts off node8
  speed_up node7
  await "$log" "the command ended with\|DUE TO NODE FAILURE" 120 || job_failed "$log" "nobody noticed the loss"
  "$slurm/cluster.sh" boot node8
  require_adapter "$log" "$job" "$work/long" "$work/lost-$launcher"
  [ "$(starts "$log")" -gt 1 ] || job_failed "$log" "the job was not started again"
  require_carried_over "$log" "$work/lost-$launcher"
  passed "a node lost under $launcher: queued again, carried on from $count tensors, the adapter of one rank," \
    "$(since "$since") s"
}

# A tenth of a core for each of these nodes: a job would take three quarters of a minute.
slow_down() { for node in ${1//,/ }; do hosts slow "$node" 10; done; }
speed_up() { for node in ${1//,/ }; do hosts slow "$node" 100; done; }

# SLURM counts time limits in minutes and looks at them every 30 s: a signal 50 s before the limit comes at its first
# look.
start_stopped() {
  local launcher=$1 log=$work/stopped-$1.log
  slow_down "$2"
  stopped_since[$launcher]=$(seconds)
  stopped_job[$launcher]=$(UNBRAID_LAUNCHER=$launcher submit "$2" "$log" --nodes=2 --time=1 --signal=B:USR1@50 \
    "$slurm/extract.sbatch" "${long[@]}" -o "$work/stopped-$launcher")
  # What is left goes quickly.
  { await "$log" "the command ended with" 90 && speed_up "$2"; } &
  attendants+=($!)
}

check_stopped() {
  local launcher=$1 log=$work/stopped-$1.log count
  await "$log" "the command ended with" 90 || job_failed "$log" "SLURM announced no time limit"
  grep -q "asking all ranks to stop" "$log" && grep -q "the command ended with 75" "$log" ||
    job_failed "$log" "the job did not stop when it was asked to"
  require_adapter "$log" "${stopped_job[$launcher]}" "$work/long" "$work/stopped-$launcher"
  require_carried_over "$log" "$work/stopped-$launcher"
  passed "short of time, $launcher: stopped, queued again by itself, carried on from $count tensors," \
    "the adapter of one rank after $(starts "$log") starts, $(since "${stopped_since[$launcher]}") s"
}

# Lets the ranks on some nodes answer to no signal, as in a system call that does not return: only SIGKILL ends them.
#
# SLURM wakes a stopped process before it asks it to end, so they are stopped over and over.
hang() {
  local host process processes=() remaining=yes
  for host in ${1//,/ }; do
    for process in $(hosts processes "$host"); do
      [ ! "/proc/$process/exe" -ef "$UNBRAID" ] || processes+=("$process")
    done
  done
  while [ -n "$remaining" ]; do
    remaining=
    for process in "${processes[@]}"; do
      ! kill -STOP "$process" 2>/dev/null || remaining=yes
    done
    sleep 0.005
  done
}

start_killed() {
  local launcher=$1 log=$work/killed-$1.log
  slow_down "$2"
  killed_since[$launcher]=$(seconds)
  killed_job[$launcher]=$(UNBRAID_LAUNCHER=$launcher submit "$2" "$log" --nodes=2 --time=1 --signal=B:USR1@1 \
    "$slurm/extract.sbatch" "${long[@]}" -o "$work/killed-$launcher")
  {
    await_journal "$work/killed-$launcher"
    hang "$2"
    speed_up "$2"
  } &
  attendants+=($!)
}

check_killed() {
  local launcher=$1 log=$work/killed-$1.log job=${killed_job[$1]} count
  await "$log" "the time limit ends the job" 150 || job_failed "$log" "its time limit did not end the job"
  require_adapter "$log" "$job" "$work/long" "$work/killed-$launcher"
  grep -q "JobId=$job .*TIMEOUT" "$UNBRAID_HOSTS/slurm/log/jobs" ||
    job_failed "$UNBRAID_HOSTS/slurm/log/jobs" "SLURM recorded no time-out of job $job"
  require_carried_over "$log" "$work/killed-$launcher"
  passed "killed at the time limit, $launcher: queued again by itself, carried on from $count tensors," \
    "the adapter of one rank after $(starts "$log") starts, $(since "${killed_since[$launcher]}") s"
}

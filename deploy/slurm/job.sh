# Sourced by the batch scripts here: runs a command of unbraid on a SLURM allocation, and puts the job back into the
# queue for as long as that carries it on.
#
# Environment variables, all optional:
#
#   UNBRAID                   the program (default: the one built in this repository, else unbraid in PATH)
#   UNBRAID_LAUNCHER          srun or mpirun (default: srun where `srun --mpi=list` shows pmix)
#   UNBRAID_LAUNCHER_OPTIONS  instead of the launcher's options for binding, such as "--bind-to none"
#   UNBRAID_RESTARTS          how often the job may go back into the queue (default: 20)
#
# What happens when the command ends, by its exit code:
#
#   75                       it was stopped, with all finished work safe: the job is queued again
#   9 137 138 139 143 205    a process or a node was lost: likewise; what had been finished is not done again
#   0, but there is no -o    likewise: launchers have been seen to end so after they lost a node or started no rank
#   any other                0, a wrong command line (64), wrong models (65), a full disk (74)...: the job ends with it
#
# At the time limit SLURM sends SIGUSR1 as early as --signal says, and unbraid stops with 75. Should it be deaf, the
# limit itself ends it, and the job is queued again while SLURM clears up. A cancelled job stays cancelled.

say() { printf '%(%T)T job %s: %s\n' -1 "$job" "$*"; }

refuse() {
  printf 'job %s: %s\n' "$job" "$*" >&2
  exit 64
}

# Runs `unbraid COMMAND ARGUMENTS...` on all tasks of the allocation, and ends the batch script.
run_unbraid() {
  trap stop_early USR1
  trap at_the_limit TERM
  find_program
  choose_launcher
  take_fresh_step
  say "start $((restarts + 1)) of at most $((restarts_allowed + 1)): ${launch[*]} on $SLURM_JOB_NODELIST"
  "${launch[@]}" "$program" "$1" --threads "$threads" "${@:2}" </dev/null &
  launched=$!
  await_launched
  say "the command ended with $status"
  [ "$status" -ne 0 ] || require_output "$@"
  case "$status" in
  75 | 9 | 137 | 138 | 139 | 143 | 205) requeue ;;
  esac
  exit "$status"
}

find_program() {
  local built=$here/../../.build/release/unbraid
  program=${UNBRAID:-}
  [ -n "$program" ] || { [ ! -x "$built" ] || program=$built; }
  [ -n "$program" ] || program=$(command -v unbraid) ||
    refuse "found no unbraid in $built or PATH; build it, or let UNBRAID name it"
  [ -x "$program" ] || refuse "$program (UNBRAID) is no program"
}

# The ranks of a node are bound side by side, each to as many cores as --cpus-per-task gave it.
#
# A rank that dies before MPI stands would leave the others waiting: srun ends them 30 s later. (It could at once, by
# --kill-on-bad-exit, but then returns their code rather than that of the rank that had something to say.)
choose_launcher() {
  local kind=${UNBRAID_LAUNCHER:-} binding
  if [ -z "$kind" ]; then
    if srun --mpi=list 2>&1 | grep -qw pmix; then kind=srun; else kind=mpirun; fi
  fi
  case "$kind" in
  srun) launch=(srun --mpi=pmix --wait=30) binding="--cpus-per-task=$threads" ;;
  mpirun) launch=(mpirun --tune "$here/../openmpi.conf") binding="--map-by slot:PE=$threads" ;;
  *) refuse "UNBRAID_LAUNCHER is $kind; it can be srun or mpirun" ;;
  esac
  # Split into words on purpose.
  # shellcheck disable=SC2206
  launch+=(${UNBRAID_LAUNCHER_OPTIONS-$binding})
}

# Lets each start of the job have a step of another number.
#
# A node without power, or a step that ended while it started, leaves a socket of PMIx's behind that bears the number
# of the step, and no step of that number starts on that node again.
take_fresh_step() {
  local number
  [ "${launch[0]}" = srun ] || return 0
  for ((number = 0; number < restarts; number++)); do
    srun --mpi=none --nodes=1 --ntasks=1 true </dev/null || true
  done
}

# Turns a success without the output that -o names into the loss of a node, which it is.
require_output() {
  local output=
  while [ $# -gt 0 ]; do
    case "$1" in
    -o | --output) output=${2:-} ;;
    --output=*) output=${1#*=} ;;
    esac
    shift
  done
  [ -n "$output" ] && [ ! -e "$output" ] || return 0
  say "there is no $output: the launcher has lost its ranks"
  status=137
}

# A trapped signal ends bash's wait, not what it waits for.
await_launched() {
  local code
  while :; do
    interrupted=
    wait "$launched" && code=0 || code=$?
    [ "$code" = 127 ] || status=$code
    [ -n "$interrupted" ] || return 0
  done
}

# On SIGUSR1, which SLURM sends to this shell alone (--signal=B:...); both launchers hand it on to every rank.
stop_early() {
  interrupted=yes
  say "SLURM announces the time limit; asking all ranks to stop"
  if [ -n "$launched" ]; then
    kill -USR1 "$launched" 2>/dev/null || true
  else
    requeue
    exit 75
  fi
}

# On SIGTERM, which comes with the limit itself, but also when the job is cancelled, preempted or requeued.
at_the_limit() {
  interrupted=yes
  case "$(state_of_job)" in
  *" TimeLimit")
    say "the time limit ends the job"
    requeue
    ;;
  esac
}

# The job's state and the reason for it, such as "RUNNING None".
state_of_job() { scontrol show job "$job" | sed -n 's/^ *JobState=\([^ ]*\) Reason=\([^ ]*\) .*/\1 \2/p'; }

requeue() {
  [ -z "$is_requeued" ] || return 0
  case "$(state_of_job)" in
  "RUNNING "* | *" TimeLimit") ;;
  *)
    say "SLURM ends the job itself, because it was cancelled or lost a node: not queued again from here"
    return 0
    ;;
  esac
  if [ "$restarts" -ge "$restarts_allowed" ]; then
    say "not queued again: that was start $((restarts + 1)), and UNBRAID_RESTARTS allows $restarts_allowed more than the first"
  elif scontrol requeue "$job"; then
    is_requeued=yes
    say "queued again"
  else
    say "SLURM refuses to queue it again; submit the same command by hand, it carries on"
  fi
}

# The first task of an array has the array's own number as its id: only this form never means all of them.
job=$SLURM_JOB_ID
[ -z "${SLURM_ARRAY_TASK_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
threads=${SLURM_CPUS_PER_TASK:-1}
restarts=${SLURM_RESTART_COUNT:-0}
restarts_allowed=${UNBRAID_RESTARTS:-20}
launched=
status=127
interrupted=
is_requeued=

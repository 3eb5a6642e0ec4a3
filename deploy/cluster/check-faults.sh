#!/usr/bin/env bash
# Breaks jobs over four hosts in every way that one machine can act out, and finishes them with the same command.
#
#   deploy/cluster/check-faults.sh [--kills N] [--seed S]
#
# First once each: a rank killed, a daemon killed, a host without power, a link taken out for good, and one out for
# three seconds. Each time mpirun must end in time, with an error that names the host, and leave nothing running;
# the same command then makes the very adapter of an undisturbed job, and computes nothing that was finished. After
# that come N kills (20 if not given) of random processes at random moments between launch and publishing; S repeats
# the moments of an earlier check.
# The hosts are namespaces of this machine (deploy/cluster/hosts.sh): needs root and iproute2; six minutes for 20.
# UNBRAID_PRODUCTS names a folder with the built programs; without it they are built first.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"

usage() {
  sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
  exit 64
}

kill_count=20
seed=$((10#$(date +%N) % 32768))
while [ $# -gt 0 ]; do
  [[ $# -ge 2 && $2 =~ ^[0-9]+$ ]] || usage
  case "$1" in
  --kills) kill_count=$2 ;;
  --seed) seed=$2 ;;
  *) usage ;;
  esac
  shift 2
done

# Seconds until mpirun must have ended. Processes that die are noticed at once; a silent network takes
# what deploy/openmpi.conf says; both get what a busy machine may need on top.
setting() { sed -n "s/^oob_tcp_keepalive_$1 = //p" "$repository/deploy/openmpi.conf"; }
slack=10
after_death=$slack
after_silence=$(($(setting time) + $(setting intvl) * $(setting probes) + slack))

# The job that is broken: the same command every time.
start_job() {
  {
    across_hosts -n 4 "$products/unbraid" extract "$work/pair/base" "$work/pair/tuned" -o "$work/out" \
      --rank 160 --method krylov || exit $?
  } >"$work/log" 2>&1 &
  job=$!
}

# Waits for the job; its exit code is in $status then.
end_job() {
  local bound=$1 start
  start=$(seconds)
  while kill -0 "$job" 2>/dev/null; do
    compare "$(since "$start")" '<' "$bound" || failed "the job still ran after $bound s"
    sleep 0.05
  done
  status=0
  wait "$job" || status=$?
}

# The processes of a program on a host.
running() {
  local process
  for process in $(hosts processes "$1"); do
    [ "$(cat "/proc/$process/comm" 2>/dev/null)" != "$2" ] || echo "$process"
  done
}

until_computing() {
  local host start
  start=$(seconds)
  for host in "${host_names[@]}"; do
    until [ -n "$(running "$host" unbraid)" ]; do
      kill -0 "$job" 2>/dev/null && compare "$(since "$start")" '<' 30 || failed "the job did not start on $host"
      sleep 0.05
    done
  done
  sleep 1
}

# Waits until no process of the job is left on any host.
until_nothing_runs() {
  local host left start
  start=$(seconds)
  for host in head "${host_names[@]}"; do
    while left=$(hosts processes "$host" 2>/dev/null) && [ -n "$left" ]; do
      compare "$(since "$start")" '<' "$1" ||
        failed "left running on $host $1 s after the job: $(cd /proc && cat ${left//$'\n'/\/comm }/comm 2>/dev/null)"
      sleep 0.1
    done
  done
}

# How many tensors' results the journal of the job holds, one entry each in the headers of its files.
journal_count() {
  { cat "$work"/out.partial/journal/*.safetensors 2>/dev/null || true; } | { grep -ao '"data_offsets"' || true; } | wc -l
}

# How many tensors a finished job took over from earlier runs, and how many its ranks computed.
carried_over_count() { sed -n 's/^  "carriedOverCount" : \([0-9]*\),$/\1/p' "$work/out/report.json"; }
computed_count() { awk '/"unitCount"/ { sum += $3 } END { print sum + 0 }' "$work/out/report.json"; }

# Runs the same command to its end, and compares; what the journal holds must not be computed again, and what it
# held when the job was broken, in $durable, must be there still.
finish_job() {
  local kept published=no carried computed
  kept=$(journal_count)
  # A job that was killed after publishing is done, and its report is that of the run that was killed.
  [ ! -e "$work/out" ] || published=yes
  start_job
  end_job 300
  [ "$status" -eq 0 ] || failed "$1: the same command again ended with $status"
  same_adapter "$work/alone" "$work/out" || failed "$1: the job that was taken up again made another adapter"
  carried=$(carried_over_count) computed=$(computed_count)
  if [ "$published" = no ]; then
    [ "$kept" -ge "$durable" ] || failed "$1: the journal held $durable tensors at that moment, and $kept after it"
    [ "$carried" -eq "$kept" ] || failed "$1: the journal held $kept tensors, the report says $carried"
    [ $((carried + computed)) -eq "$unit_count" ] ||
      failed "$1: $carried tensors were carried over and $computed computed, of $unit_count"
  fi
  kept_count=$((kept_count + carried))
  outcome="$carried of $unit_count tensors were kept, the rest computed, same bytes"
  [ "$published" = no ] || outcome="it was published already, same bytes"
  rm -rf "$work/out"
}

# Breaks a job on a host, and puts the host right again before the job is: breaks HOST BOUND WHAT BREAK MEND.
breaks() {
  local host=$1 bound=$2 what=$3 break=$4 mend=$5 start took ended
  # A host that is cut off with something under way repeats it until its kernel gives up: 6 s instead of 15 min.
  hosts exec "$host" sh -c 'echo 4 >/proc/sys/net/ipv4/tcp_retries2'
  start_job
  until_computing
  durable=$(journal_count)
  start=$(seconds)
  $break "$host"
  end_job "$bound"
  took=$(since "$start") ended=$status
  [ "$ended" -ne 0 ] || failed "$what: mpirun ended with 0"
  grep -q "on node $host" "$work/log" || failed "$what: mpirun did not name $host"
  # What a rank says of its lost messages is itself under way to mpirun then: the wait may come twice.
  until_nothing_runs 20
  $mend "$host"
  finish_job "$what"
  passed "$what: mpirun ended after $took s of at most $bound with $ended, named $host, left nothing; $outcome"
}

kill_rank() { running "$1" unbraid | xargs kill -KILL; }
kill_daemon() { running "$1" orted | xargs kill -KILL; }
power_off() { hosts off "$1"; }
boot() { hosts boot "$1"; }
unplug() { hosts unplug "$1"; }
# A link is back for the next job once the connections of the broken one are given up on both sides: a new one between
# the same two ports would be taken for an old one, and Open MPI waits for ever.
plug() {
  local host start
  hosts plug "$1"
  start=$(seconds)
  for host in "${host_names[@]}"; do
    while hosts exec "$host" ss -Htan | grep -qv -e LISTEN -e TIME-WAIT; do
      compare "$(since "$start")" '<' 60 || failed "connections of the broken job were left on $host after 60 s"
      sleep 0.2
    done
  done
}

survives_an_outage() {
  start_job
  until_computing
  unplug node4
  sleep 3
  kill -0 "$job" 2>/dev/null || failed "a link out for 3 s: the job ended meanwhile"
  plug node4
  end_job 120
  [ "$status" -eq 0 ] || failed "a link out for 3 s: the job ended with $status"
  same_adapter "$work/alone" "$work/out" || failed "a link out for 3 s: the job made another adapter"
  rm -rf "$work/out"
  passed "a link out for 3 s: the job went on and finished"
}

# Kills a rank or mpirun itself after a fraction of an undisturbed job's time; before there are ranks, what is there.
kill_at() {
  local moment=$1 target=$2 host=head program=mpirun victims
  start_job
  sleep "$moment"
  if [ "$target" -lt 4 ]; then host=node$((target + 1)) program=unbraid; fi
  victims=$(running "$host" "$program")
  [ -n "$victims" ] || victims=$(running "$host" orted)
  [ -n "$victims" ] || victims=$(running head mpirun)
  durable=$(journal_count)
  # shellcheck disable=SC2086
  [ -z "$victims" ] || kill -KILL $victims 2>/dev/null || true
  end_job "$after_death"
  until_nothing_runs "$slack"
}

random_kills() {
  local done=0 missed=0 draw moment target name
  RANDOM=$seed
  while [ "$done" -lt "$kill_count" ]; do
    # Not drawn in the substitution: a shell of its own has a seed of its own.
    draw=$RANDOM
    moment=$(awk "BEGIN { printf \"%.2f\", $undisturbed * $draw / 32768 }")
    target=$((RANDOM % 5))
    name="rank $target"
    [ "$target" -lt 4 ] || name=mpirun
    kill_at "$moment" "$target"
    if [ "$status" -eq 0 ]; then
      # This one was faster than the one that was measured: nothing was broken, and nothing is shown.
      [ $((missed += 1)) -le "$kill_count" ] || failed "most jobs ended before they could be killed"
      finish_job "a job that was not killed"
      continue
    fi
    finish_job "$name killed after $moment s"
    passed "kill $((done += 1)) of $kill_count: $name after $moment s; $outcome"
  done
}

start_check
kept_count=0
start_hosts 4 1
"$products/unbraid-bench" make-pair "$work/pair" --hidden 512 --ffn 1408 --layers 10 >/dev/null

say "faults"
"$products/unbraid" extract "$work/pair/base" "$work/pair/tuned" -o "$work/alone" --rank 160 --method krylov \
  >"$work/log" 2>&1 || failed "one rank alone ended with $?"
start=$(seconds)
start_job
end_job 300
undisturbed=$(since "$start")
[ "$status" -eq 0 ] || failed "the undisturbed job ended with $status"
same_adapter "$work/alone" "$work/out" || failed "four hosts made another adapter than one rank"
unit_count=$(computed_count)
rm -rf "$work/out"
echo "  undisturbed, the job takes $undisturbed s for $unit_count tensors"

breaks node3 "$after_death" "a rank killed" kill_rank true
breaks node2 "$after_death" "a daemon killed" kill_daemon true
breaks node4 "$after_silence" "a host without power" power_off boot
breaks node2 "$after_silence" "a link out" unplug plug
breaks node1 "$after_silence" "rank 0's link out" unplug plug
survives_an_outage

if [ "$kill_count" -gt 0 ]; then
  say "$kill_count random kills (--seed $seed)"
  random_kills
fi
[ "$kept_count" -gt 0 ] || failed "no job ever carried on from anything"

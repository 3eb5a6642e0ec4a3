#!/usr/bin/env bash
# Measures how well work is shared out among four hosts of which two have half the speed of the others.
#
#   deploy/cluster/measure-speeds.sh [FAST SLOW [OPTIONS OF make-pair]]
#
# FAST and SLOW are per cent of a core (40 and 20 if not given; together they must fit this machine twice). The same
# job runs on the two fast hosts, on the two slow ones and on all four; with the speeds of the first two an ideal
# split would take 1 / (1/fast + 1/slow) seconds. Measures, and judges nothing: run it on a quiet machine.
# The hosts are namespaces of this machine (deploy/cluster/hosts.sh): needs root and iproute2; about two minutes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"

fast=${1:-40}
slow=${2:-20}
[[ $fast =~ ^[0-9]+$ && $slow =~ ^[0-9]+$ ]] || {
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 64
}
shape=("${@:3}")
[ ${#shape[@]} -gt 0 ] || shape=(--hidden 512 --layers 600 --only q_proj)

# The job on some hosts: its seconds are in $took then.
on_hosts() {
  local name=$1
  printf '%s slots=1\n' "${@:2}" >"$work/hostfile"
  across_hosts -n $(($# - 1)) "$products/unbraid" extract "$work/pair/base" "$work/pair/tuned" -o "$work/$name" \
    --rank 32 --method gram >"$work/log" 2>&1 || failed "the job on $name hosts ended with $?"
  took=$(sed -n 's/^  "seconds" : \([0-9.]*\),$/\1/p' "$work/$name/report.json")
  echo "  $name: $took s; load $(cut -d' ' -f1 /proc/loadavg)"
  sed -n 's/^unbraid: \(node.*\)/    \1/p; s/^\(node[0-9].*\)/    \1/p' "$work/log"
}

start_check
start_hosts 4 1
for host in node1 node2; do hosts slow "$host" "$fast"; done
for host in node3 node4; do hosts slow "$host" "$slow"; done
"$products/unbraid-bench" make-pair "$work/pair" "${shape[@]}" >/dev/null

say "two hosts at $fast % of a core, two at $slow %"
on_hosts fast node1 node2
fast_seconds=$took
on_hosts slow node3 node4
slow_seconds=$took
on_hosts all "${host_names[@]}"
same_adapter "$work/fast" "$work/all" || failed "four hosts made another adapter than two"
awk -v fast="$fast_seconds" -v slow="$slow_seconds" -v all="$took" 'BEGIN {
  ideal = 1 / (1 / fast + 1 / slow)
  printf "  ideal split %.2f s, measured %.2f s: %.3f of the ideal\n", ideal, all, all / ideal
}'

#!/usr/bin/env bash
# Extracts over four hosts and compares with one rank alone: same bytes, and the work really was on all of them.
#
#   deploy/cluster/check-hosts.sh               a pair of its own, and ../shared/data/pairs/tinyllama-* if there
#   deploy/cluster/check-hosts.sh BASE TUNED    that pair
#
# The hosts are namespaces of this machine (deploy/cluster/hosts.sh): needs root, iproute2 and a minute.
# UNBRAID_PRODUCTS names a folder with the built programs; without it they are built first.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"

case "$#:${1:-}" in
0: | 2:[!-]*) ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac

# What has crossed each host's link so far: "host received sent", in bytes, a line each.
links() {
  local host
  for host in "${host_names[@]}"; do echo "$host $(hosts bytes "$host")"; done
}

# What report.json says of the ranks of each host together, a line each: host ranks units computing waiting read
# sent stolen. It is read as it is written, one name and value a line.
per_host() {
  awk '
    /^  "ranks" : \[/ { inside = 1 }
    inside && /^      "/ {
      name = $1; value = $3; gsub(/[",]/, "", name); gsub(/[",]/, "", value)
      rank[name] = value
    }
    inside && /^    }/ {
      host = rank["host"]
      if (!ranks[host]++) order[++count] = host
      units[host] += rank["unitCount"]
      computing[host] += rank["computingSeconds"]
      waiting[host] += rank["waitingSeconds"]
      bytes_read[host] += rank["bytesRead"]
      bytes_sent[host] += rank["bytesSent"]
      stolen[host] += rank["stolenInsideNode"] + rank["stolenBetweenNodes"]
    }
    inside && /^  ]/ { inside = 0 }
    END {
      for (i = 1; i <= count; i++) {
        host = order[i]
        print host, ranks[host], units[host], computing[host], waiting[host], bytes_read[host], bytes_sent[host], stolen[host]
      }
    }' OFMT=%.2f CONVFMT=%.12g "$1/report.json"
}

# For a person: who worked, who waited, what was moved.
table() {
  local layout="  %-6s %5s %5s %11s %9s %6s %8s %8s %11s %12s\n"
  # shellcheck disable=SC2059
  printf "$layout" host ranks units "computing s" "waiting s" stolen "read MB" "sent MB" "link out MB" "link in MB"
  join "$work/per-host" "$work/moved" | awk -v layout="$layout" '
    function megabytes(bytes) { return sprintf("%.2f", bytes / 1e6) }
    { printf layout, $1, $2, $3, $4, $5, $8, megabytes($6), megabytes($7), megabytes($10), megabytes($9) }'
}

# The difference of two outputs of links.
moved() { paste -d' ' "$1" "$2" | awk '{ print $1, $5 - $2, $6 - $3 }'; }

# Runs a program over the hosts and leaves in $work/moved what crossed their links meanwhile.
measured() {
  links >"$work/before"
  across_hosts "$@" >"$work/log" 2>&1 || failed "mpirun across the hosts ended with $?"
  links >"$work/after"
  moved "$work/before" "$work/after" >"$work/moved"
}

# Whether report.json and the links agree that every host took part.
check_host() {
  local host=$1 ranks=$2 needed units said sent
  read -r units said <<<"$(awk -v host="$host" '$1 == host { print $3, $7 }' "$work/per-host")"
  [ -n "$units" ] || failed "report.json does not name $host"
  [ "$units" -gt 0 ] || failed "$host did no work"
  sent=$(awk -v host="$host" '$1 == host { print $3 }' "$work/moved")
  # Starting ranks moves bytes too: what counts is what the job adds to that.
  needed=$(awk -v host="$host" '$1 == host { print $3 + 50000 }' "$work/idle-$ranks")
  # With one rank a host, all that it sends goes over the link.
  [ "$ranks" -ne ${#host_names[@]} ] || [ "$said" -lt "$needed" ] || needed=$said
  [ "$sent" -ge "$needed" ] || failed "$host sent $sent bytes over its link, and must have sent $needed"
}

check_pair() {
  local name=$1 base=$2 tuned=$3 options ranks host
  say "$name"
  "$products/unbraid" extract "$base" "$tuned" -o "$work/alone" --rank 32 >"$work/log" 2>&1 ||
    failed "one rank alone ended with $?"
  for options in 4 8 "8 --head-coordinates"; do
    ranks=${options%% *}
    # shellcheck disable=SC2086
    measured -n "$ranks" "$products/unbraid" extract "$base" "$tuned" -o "$work/across" --rank 32 ${options#"$ranks"}
    per_host "$work/across" >"$work/per-host"
    table
    same_adapter "$work/alone" "$work/across" || failed "-n $options on 4 hosts made another adapter than one rank"
    for host in "${host_names[@]}"; do check_host "$host" "$ranks"; done
    passed "-n $options on 4 hosts: the same adapter as one rank, with work on every host and its bytes over every link"
    rm -rf "$work/across"
  done
  rm -rf "$work/alone"
}

# Whoever is interrupted while hosts start, or loses one, can still take all of them down.
check_end_of_hosts() {
  local state=$work/broken moment group left
  for moment in 0.03 0.06 0.09 0.12 0.15 0.18 0.21; do
    UNBRAID_HOSTS=$state "$cluster/hosts.sh" up 3 2>/dev/null &
    sleep "$moment"
    kill -TERM $! 2>/dev/null || true
    wait $! 2>/dev/null || true
    UNBRAID_HOSTS=$state hosts down
    sleep 0.1
    left=$(grep -zlxF "$state" /proc/[0-9]*/cmdline 2>/dev/null || true)
    [ -z "$left" ] || failed "hosts that were interrupted after $moment s left processes: ${left//$'\n'/ }"
  done
  UNBRAID_HOSTS=$state hosts up 1
  UNBRAID_HOSTS=$state hosts slow node1 50 2>/dev/null || true
  group=$(cat "$state/node1/group" 2>/dev/null || true)
  kill -KILL "$(<"$state/node1/process")"
  UNBRAID_HOSTS=$state hosts down
  [ ! -e "${group:-/none}" ] || failed "a host that had died left its control group $group"
  passed "hosts that were interrupted at their start, or died, leave nothing behind"
}

# A host whose copy of the model is another one must be named before any work is done.
check_other_copy() {
  local shard status=0
  say "a host with another copy of the model"
  shard=$(find "$1" -name '*.safetensors' | sort | head -n 1)
  head -c -16 "$shard" >"$work/cut"
  hosts exec node2 mount --bind "$work/cut" "$shard"
  across_hosts -n 4 "$products/unbraid" extract "$2" "$1" -o "$work/across" --rank 32 >"$work/log" 2>&1 || status=$?
  hosts exec node2 umount "$shard"
  [ "$status" -eq 65 ] || failed "mpirun ended with $status, not 65"
  grep -q "unbraid: rank 0: node2: $shard: .* all hosts must find the same models" "$work/log" ||
    failed "the message does not name node2 and $shard"
  [ ! -e "$work/across" ] || failed "there is an adapter all the same"
  passed "the host and the file are named, and nothing is made"
}

# All layers together, by sums over all hosts.
check_joint() {
  local method options
  say "joint decompositions"
  for method in tucker cp shared; do
    options=(--rank 8 --targets q_proj --no-compare)
    [ "$method" = shared ] || options+=(--steps 2)
    "$products/unbraid" joint "$@" --method "$method" "${options[@]}" -o "$work/joint-alone" >"$work/log" 2>&1 ||
      failed "$method on one rank alone ended with $?"
    across_hosts -n 4 "$products/unbraid" joint "$@" --method "$method" "${options[@]}" -o "$work/joint" \
      >"$work/log" 2>&1 || failed "$method across the hosts ended with $?"
    for file in decomposition.json group-001.safetensors; do
      cmp "$work/joint-alone/$file" "$work/joint/$file" >&2 ||
        failed "$method on 4 hosts made another $file than one rank"
    done
    rm -rf "$work/joint-alone" "$work/joint"
  done
  passed "tucker, cp and shared on 4 hosts: the files of one rank"
}

# Evaluations of a sweep run on all hosts side by side, and each finds its adapter there.
check_sweep() {
  local table=$work/plan/sweep/results.csv host
  say "a sweep whose evaluations tell where they ran"
  mkdir "$work/plan"
  cat >"$work/plan/plan.yaml" <<PLAN
output: sweep
pairs:
  - {name: pair, base: $1, tuned: $2}
ranks: [2, 4, 6, 8, 10, 12, 14, 16]
filters:
  - {name: query, targets: [q_proj]}
evaluate:
  command: >-
    test -s "\$UNBRAID_ADAPTER/adapter_model.safetensors" && sleep 0.5 &&
    echo "{\"host\": \"\$(hostname)\"}"
PLAN
  across_hosts -n 4 "$products/unbraid" sweep "$work/plan/plan.yaml" >"$work/log" 2>&1 ||
    failed "the sweep across the hosts ended with $?"
  for host in "${host_names[@]}"; do
    grep -q "$host" "$table" || failed "no evaluation ran on $host"
  done
  passed "8 evaluations ran on all of ${#host_names[@]} hosts"
}

start_check
say "hosts"
check_end_of_hosts
start_hosts 4 2
for ranks in 4 8; do
  measured -n "$ranks" "$products/unbraid" --version
  cp "$work/moved" "$work/idle-$ranks"
done

if [ $# -eq 2 ]; then
  check_pair "$2" "$1" "$2"
  exit
fi

"$products/unbraid-bench" make-pair "$work/pair" --hidden 1024 --ffn 2816 --layers 8 >/dev/null
check_pair "a pair of Llama shapes" "$work/pair/base" "$work/pair/tuned"
check_other_copy "$work/pair/tuned" "$work/pair/base"
check_sweep "$work/pair/base" "$work/pair/tuned"
check_joint "$work/pair/base" "$work/pair/tuned"

real=$repository/../shared/data/pairs
if [ -d "$real/tinyllama-ft" ]; then
  check_pair "tinyllama" "$real/tinyllama-base" "$real/tinyllama-ft"
else
  say "tinyllama"
  echo "  skipped: there is no ../shared/data/pairs/tinyllama-ft"
fi

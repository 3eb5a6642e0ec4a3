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

# One line a host out of report.json and the bytes of its link: who worked, who waited, what was moved.
#
# Fields that a version does not report stay empty.
table() {
  awk -v links="$2" '
    BEGIN {
      while ((getline line <links) > 0) { split(line, field, " "); received[field[1]] = field[2]; sent[field[1]] = field[3] }
    }
    /^  "ranks" *: *\[/ { inside = 1; next }
    /^  \]/ { inside = 0 }
    inside && /^    \{/ { split("", rank) }
    inside && /^      "[A-Za-z]+" *: *[^[{]/ {
      name = $1; gsub(/"/, "", name)
      value = $0; sub(/^[^:]*: */, "", value); gsub(/[",]/, "", value)
      rank[name] = value
    }
    inside && /^    \}/ {
      host = rank["host"]
      if (!(host in ranks)) order[++count] = host
      ranks[host]++
      for (name in rank) { sum[host, name] += rank[name]; known[name] = 1 }
    }
    function column(host, name, unit) { return name in known ? sprintf("%.2f", sum[host, name] / unit) : "-" }
    END {
      layout = "  %-8s %5s %6s %11s %9s %9s %9s %7s %14s %10s\n"
      printf layout, "host", "ranks", "units", "computing s", "waiting s", "read MB", "sent MB", "steals", "link in MB", "out MB"
      for (i = 1; i <= count; i++) {
        host = order[i]
        printf layout, host, ranks[host], sum[host, "unitCount"], column(host, "computingSeconds", 1),
          column(host, "waitingSeconds", 1), column(host, "bytesRead", 1e6), column(host, "bytesSent", 1e6),
          "stealCount" in known ? sum[host, "stealCount"] : "-",
          sprintf("%.2f", received[host] / 1e6), sprintf("%.2f", sent[host] / 1e6)
      }
    }' "$1/report.json"
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

check_pair() {
  local name=$1 base=$2 tuned=$3 ranks host threshold sent
  say "$name"
  "$products/unbraid" extract "$base" "$tuned" -o "$work/alone" --rank 32 >"$work/log" 2>&1 ||
    failed "one rank alone ended with $?"
  for ranks in 4 8; do
    measured -n "$ranks" "$products/unbraid" extract "$base" "$tuned" -o "$work/across" --rank 32
    table "$work/across" "$work/moved"
    same_adapter "$work/alone" "$work/across" || failed "$ranks ranks on 4 hosts made another adapter than one rank"
    for host in "${host_names[@]}"; do
      grep -q "\"host\" : \"$host\"" "$work/across/report.json" || failed "report.json does not name $host"
      # Starting ranks moves bytes too: what counts is what the job adds to that.
      threshold=$(awk -v host="$host" '$1 == host { print $3 + 50000 }' "$work/idle-$ranks")
      sent=$(awk -v host="$host" '$1 == host { print $3 }' "$work/moved")
      [ "$sent" -gt "$threshold" ] || failed "$host sent $sent bytes over its link, where starting alone takes $threshold"
    done
    passed "$ranks ranks on 4 hosts: the same adapter as one rank, with bytes over every link"
    rm -rf "$work/across"
  done
  rm -rf "$work/alone"
}

start_check
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

real=$repository/../shared/data/pairs
if [ -d "$real/tinyllama-ft" ]; then
  check_pair "tinyllama" "$real/tinyllama-base" "$real/tinyllama-ft"
else
  say "tinyllama"
  echo "  skipped: there is no ../shared/data/pairs/tinyllama-ft"
fi

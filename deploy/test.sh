#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test.
#
#   deploy/test.sh               lint, build, all tests that need nothing but this repository; those on several
#                                hosts where this machine allows namespaces
#   deploy/test.sh --consumers   loads what was written in the programs it is for, holds results against TensorLy and others;
#                                makes a Python environment of about 2.2 GB under .build
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[ $# -eq 0 ] || [ "$*" = --consumers ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 64; }

require_swift
install_packages apt-packages.txt
use_this_machine_for_mpi

if [ "${1:-}" = --consumers ]; then
  build_release --product unbraid
  python=$("$repository/deploy/consumers/environment.sh" "$repository/.build/consumers")
  say "consumers"
  UNBRAID=$products/unbraid "$python" "$repository/deploy/consumers/check.py"
  exit
fi

say "lint"
swift format lint --strict --recursive --parallel \
  "$repository/Package.swift" "$repository/Sources" "$repository/Tests"

build_release --build-tests

say "tests"
# Tests that meet a process in its midst depend on what else a machine does: what fails is tried once more, alone, and
# named either way. It is said last: where only the end of a log is kept, a failure among thousands of lines is lost.
tests_log=$repository/.build/tests.log
run_tests() {
  swift test --package-path "$repository" -c release --skip-build --disable-xctest "$@" 2>&1 | tee "$tests_log"
}
if ! run_tests; then
  say "what failed"
  grep --after-context=12 --fixed-strings 'recorded an issue' "$tests_log" || tail -n 40 "$tests_log"
  suites=$(sed -n 's/.*recorded an issue at \([A-Za-z]*Tests\)\.swift.*/\1/p' "$tests_log" | sort -u | paste -sd '|')
  [ -n "$suites" ] || exit 1
  say "once more: $suites"
  run_tests --filter "$suites"
fi

install_cluster_packages
export UNBRAID_PRODUCTS=$products

check_hosts() {
  say "several hosts"
  if reason=$("$repository/deploy/cluster/hosts.sh" possible); then
    "$repository/deploy/cluster/check-hosts.sh"
    "$repository/deploy/cluster/check-faults.sh" --kills 5
  else
    echo "skipped: $reason"
  fi
}

# Becomes the check, which takes its hosts down when it is told to end.
check_slurm() {
  say "SLURM"
  if reason=$("$repository/deploy/slurm/cluster.sh" possible); then
    exec "$repository/deploy/slurm/check-slurm.sh"
  fi
  echo "skipped: $reason"
}

# Both wait for a clock most of the time, and neither's hosts see the other's. What the second one says comes last.
slurm_log=$repository/.build/slurm.log
check_slurm >"$slurm_log" 2>&1 &
slurm=$!
trap 'kill "$slurm" 2>/dev/null && wait "$slurm" || true' EXIT
check_hosts
slurm_status=0
wait "$slurm" || slurm_status=$?
cat "$slurm_log"
exit "$slurm_status"

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

say "several hosts"
install_cluster_packages
if reason=$("$repository/deploy/cluster/hosts.sh" possible); then
  export UNBRAID_PRODUCTS=$products
  "$repository/deploy/cluster/check-hosts.sh"
  "$repository/deploy/cluster/check-faults.sh" --kills 5
else
  echo "skipped: $reason"
fi

say "SLURM"
if reason=$("$repository/deploy/slurm/cluster.sh" possible); then
  "$repository/deploy/slurm/check-slurm.sh"
else
  echo "skipped: $reason"
fi

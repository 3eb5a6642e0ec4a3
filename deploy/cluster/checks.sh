# Sourced by the checks here: hosts to run on, jobs across them, and how a check passes or fails.

cluster=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$cluster/../environment.sh"

# Everything of a check is in one folder, which no end of it leaves behind.
start_check() {
  "$cluster/hosts.sh" possible >&2 || exit 69
  if [ -n "${UNBRAID_PRODUCTS:-}" ]; then
    products=$UNBRAID_PRODUCTS
  else
    build_release --product unbraid
    build_release --product unbraid-bench
  fi
  use_this_machine_for_mpi
  work=$(mktemp -d "${TMPDIR:-/tmp}/unbraid-check.XXXXXX")
  export UNBRAID_HOSTS=$work/hosts
  trap 'exit 130' INT TERM HUP
  trap end_check EXIT
  set -E
  trap 'echo "  FAILED  the check itself, at line $LINENO: $BASH_COMMAND" >&2' ERR
}

end_check() {
  # A second signal must not end the clearing up.
  trap '' INT TERM HUP
  hosts down 2>/dev/null || true
  rm -rf "$work"
}

hosts() { "$cluster/hosts.sh" "$@"; }

passed() { printf '  passed  %s\n' "$*"; }

# Ends the check; what the last job printed goes with it.
failed() {
  printf '  FAILED  %s\n' "$*"
  [ ! -s "$work/log" ] || tail -n 40 "$work/log" | sed 's/^/          | /'
  exit 1
}

# Starts the head and N more hosts, and lists those for mpirun with SLOTS ranks each.
start_hosts() {
  host_names=()
  hosts up "$1"
  for ((number = 1; number <= $1; number++)); do
    host_names+=("node$number")
    echo "node$number slots=$2"
  done >"$work/hostfile"
}

# A command that has mpirun, on the head, start a program on all hosts: across_hosts -n RANKS PROGRAM...
#
# As a user's would be, but for the agent in place of ssh. With one processor for all hosts, none is anybody's own.
across_hosts() {
  hosts exec head mpirun --mca plm rsh --mca plm_rsh_agent "$cluster/agent.sh" \
    --tune "$repository/deploy/openmpi.conf" --hostfile "$work/hostfile" --map-by node --bind-to none "$@"
}

seconds() { date +%s.%N; }

# What arithmetic awk says about two numbers: compare 3.5 '<' 4.
compare() { awk "BEGIN { exit !($1 $2 $3) }"; }

since() { awk "BEGIN { printf \"%.1f\", $(seconds) - $1 }"; }

# Whether two adapters are the same, byte for byte; report.json holds times and may differ.
same_adapter() {
  local file
  for file in adapter_model.safetensors adapter_config.json README.md; do
    cmp "$1/$file" "$2/$file" >&2 || return 1
  done
}

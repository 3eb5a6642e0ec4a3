#!/usr/bin/env bash
# Stands in for ssh where hosts are namespaces: agent.sh HOST WORDS... has the host's shell run the words.
#
#   mpirun --mca plm rsh --mca plm_rsh_agent deploy/cluster/agent.sh --hostfile ...   (from the host head)
set -euo pipefail

# Options for ssh, as deploy/openmpi.conf has them, say what this does anyway.
while [ "${1:-}" = -o ]; do shift 2; done
[ $# -ge 2 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 64; }

hosts=$(dirname "${BASH_SOURCE[0]}")/hosts.sh
host=$1
shift
status=0
"$hosts" exec "$host" sh -c "$*" || status=$?

# ssh does not hear of a power cut at the other end, and gives up half a minute later: so does this. Until then
# only mpirun's own watch can end the job.
if [ "$status" -eq 137 ] && ! "$hosts" exec "$host" true 2>/dev/null; then
  for ((waited = 0; waited < 60; waited++)); do
    kill -0 "$PPID" 2>/dev/null || exit 255
    sleep 0.5
  done
  echo "agent.sh: $host does not respond" >&2
  exit 255
fi
exit "$status"

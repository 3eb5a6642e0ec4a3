#!/usr/bin/env bash
# Stands in for ssh where hosts are namespaces: agent.sh HOST WORDS... has the host's shell run the words.
#
#   mpirun --mca plm rsh --mca plm_rsh_agent deploy/cluster/agent.sh --hostfile ...   (from the host head)
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 64; }

host=$1
shift
exec "$(dirname "${BASH_SOURCE[0]}")/hosts.sh" exec "$host" sh -c "$*"

#!/usr/bin/env bash
# A SLURM cluster on this machine: slurmctld, and a slurmd on each of several hosts out of namespaces.
#
# The hosts are those of deploy/cluster/hosts.sh; slurmctld runs on its head. The state folder is named by
# UNBRAID_HOSTS, and SLURM's part of it is the folder slurm in there (slurm/log holds the logs).
#
#   cluster.sh possible          whether this machine allows it; says why not
#   cluster.sh up N              starts the hosts and SLURM on node1 to nodeN; returns when all are idle
#   cluster.sh exec HOST CMD...  runs a command on a host, where SLURM's commands find this cluster
#   cluster.sh boot HOST         starts a host that was off, and its slurmd
#   cluster.sh down              ends SLURM and the hosts, and removes the state folder
#
# Two CPUs a node, whatever this machine has; no accounts, no control groups: enough to try jobs, not to protect them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
hosts=$here/../cluster/hosts.sh

usage() {
  sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d' >&2
  exit 64
}

fail() {
  echo "cluster.sh: $*" >&2
  exit 1
}

possible() {
  local program
  "$hosts" possible || return 1
  for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null || { echo "$program is not installed (deploy/apt-packages-slurm.txt)"; return 1; }
  done
  if dpkg-query -W -f '${Status}' slurm-wlm-emulator 2>/dev/null | grep -q ' installed'; then
    echo "the package slurm-wlm-emulator is installed and replaces SLURM's daemons by some that start no nodes; remove it"
    return 1
  fi
}

# One daemon authenticates all hosts, through a socket in the files they share. Only root uses it (--force: munge
# would have everybody reach its socket).
start_munge() {
  local folder=$slurm/munge
  (umask 077 && head -c 1024 /dev/urandom >"$folder/key")
  on head munged --force --socket="$folder/socket" --key-file="$folder/key" --pid-file="$folder/pid" \
    --log-file="$folder/log" --seed-file="$folder/seed" 2>>"$folder/log"
}

# Jobs run with the namespaces' addresses and their own temporary folders: PMIx keeps sockets in TmpFS.
write_configuration() {
  cat >"$slurm/slurm.conf" <<CONF
ClusterName=unbraid
SlurmctldHost=head($("$hosts" address head))
SlurmUser=root
AuthType=auth/munge
# A requeued job waits for one second more than a credential lasts; the default is two minutes.
AuthInfo=socket=$slurm/munge/socket,cred_expire=5
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.%n.pid
SlurmctldLogFile=$slurm/log/slurmctld
SlurmdLogFile=$slurm/log/%n
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool/%n
TmpFS=$state/%n/temporary
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$slurm/log/jobs
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=100000
ReturnToService=2
SlurmdTimeout=10
# A job past its limit is ended at once, and killed when it has not gone in so many seconds.
OverTimeLimit=0
KillWait=5
JobRequeue=1
SlurmdParameters=config_overrides
CONF
  local number
  for ((number = 1; number <= $1; number++)); do
    echo "NodeName=node$number NodeAddr=$("$hosts" address "node$number") CPUs=2 SocketsPerBoard=1" \
      "CoresPerSocket=2 ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN"
  done >>"$slurm/slurm.conf"
  echo "PartitionName=main Nodes=node[1-$1] Default=YES MaxTime=INFINITE State=UP" >>"$slurm/slurm.conf"
}

on() { "$hosts" exec "$1" env SLURM_CONF="$slurm/slurm.conf" "${@:2}"; }

up() {
  local number reason
  reason=$(possible) || fail "$reason"
  "$hosts" up "$1"
  mkdir -p "$slurm"/{log,munge,spool,state}
  start_munge
  write_configuration "$1"
  on head slurmctld
  for ((number = 1; number <= $1; number++)); do
    mkdir -p "$slurm/spool/node$number"
    on "node$number" slurmd -N "node$number"
  done
  wait_for_nodes "$1"
}

wait_for_nodes() {
  local waited=0
  until [ "$(on head timeout -s KILL 10 sinfo -h -t idle -o %D 2>/dev/null)" = "$1" ]; do
    [ $((waited += 1)) -lt 300 ] || fail "not all of $1 nodes came up; see $slurm/log"
    sleep 0.1
  done
}

command=${1:-}
case "$command:$#" in
possible:1) possible; exit ;;
esac
[ -n "${UNBRAID_HOSTS:-}" ] || { echo "cluster.sh: UNBRAID_HOSTS names no state folder" >&2; usage; }
state=$(realpath -m "$UNBRAID_HOSTS")
slurm=$state/slurm

case "$command:$#" in
up:2) up "$2" ;;
exec:*) [ $# -ge 3 ] || usage; on "${@:2}" ;;
boot:2) "$hosts" boot "$2"; on "$2" slurmd -N "$2" ;;
down:1) "$hosts" down ;;
*) usage ;;
esac

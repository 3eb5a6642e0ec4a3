#!/usr/bin/env bash
# Hosts out of namespaces: several machines, as far as MPI and SLURM can tell, on this one.
#
# Each host has its own address, name, processes, shared memory and temporary folder, and is joined by a link of
# its own to a switch. All of them see this machine's files, as machines with a shared file system do.
# The state folder is named by UNBRAID_HOSTS; folders beside each other are networks that cannot see each other.
#
#   hosts.sh possible           whether this machine allows it; says why not
#   hosts.sh up N               starts the hosts head and node1 to nodeN
#   hosts.sh exec HOST CMD...   runs a command on a host, in the current folder
#   hosts.sh processes HOST     lists what runs on a host, by this machine's process ids
#   hosts.sh address HOST       its address
#   hosts.sh temporary HOST     its temporary folder
#   hosts.sh bytes HOST         bytes received and sent over its link
#   hosts.sh unplug|plug HOST   takes its link out, puts it back
#   hosts.sh rate HOST KBIT     limits its link, both ways
#   hosts.sh slow HOST PERCENT  lets all its processes together have so much of one core
#   hosts.sh off|boot HOST      takes its power away, starts it again
#   hosts.sh down               ends all hosts and removes the state folder
#
# The head sees all processes of this machine, so that it can reach into the other hosts (deploy/cluster/agent.sh).
set -euo pipefail

usage() {
  sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d' >&2
  exit 64
}

fail() {
  echo "hosts.sh: $*" >&2
  exit 1
}

# The kernel's name of the network a process is in: what a host's processes have in common.
network_of() { readlink "/proc/$1/ns/net" 2>/dev/null; }

# Whether the process that holds a host (or the switch) still lives, and is not another with its old number.
lives() {
  [ -e "$state/$1/process" ] && [ "$(network_of "$(<"$state/$1/process")")" = "$(<"$state/$1/network")" ]
}

require_host() {
  [ -d "$state/$1" ] || fail "there is no host $1 in $state"
  lives "$1" || fail "host $1 is off"
}

# Runs a command in one of the namespaces only: enough to look at, or set up, a host's network.
in_network() { nsenter --target "$(<"$state/$1/process")" --net -- "${@:2}"; }

address() {
  case "$1" in
  head) echo 10.79.0.254 ;;
  *) echo "10.79.0.${1#node}" ;;
  esac
}

# Starts the process that holds a host's namespaces, and waits until it stands.
#
# It is the first process of its host: it must reap what is orphaned there, and it waits without a child of its own.
hold() {
  local host=$1 isolation=(--net --uts --ipc --mount --propagation private)
  [ "$host" = head ] || [ "$host" = switch ] || isolation+=(--pid --fork --kill-child --mount-proc)
  mkdir -p "$state/$host/temporary"
  rm -f "$state/$host/stands"
  setsid unshare "${isolation[@]}" bash -c '
    hostname "$1"
    mount --bind "$2/addresses" /etc/hosts
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    ip link set lo up
    touch "$2/$1/stands"
    while :; do read -r <> <(:); done' hold "$host" "$state" \
    </dev/null >/dev/null 2>"$state/$host/errors" &
  local process=$! waited=0
  until [ -e "$state/$host/stands" ]; do
    if ! kill -0 "$process" 2>/dev/null || [ $((waited += 1)) -gt 1000 ]; then
      kill -KILL "$process" 2>/dev/null || true
      fail "host $host did not start: $(<"$state/$host/errors")"
    fi
    sleep 0.01
  done
  echo "$process" >"$state/$host/keepers"
  case " ${isolation[*]} " in
  *" --fork "*)
    process=$(tr -d ' ' <"/proc/$process/task/$process/children")
    echo "$process" >>"$state/$host/keepers"
    ;;
  esac
  network_of "$process" >"$state/$host/network"
  echo "$process" >"$state/$host/process"
}

# Joins a host to the switch; the switch's end of the link bears the host's name.
connect() {
  in_network switch ip link add name "$1" type veth peer name eth0 netns "$(<"$state/$1/process")"
  in_network switch ip link set "$1" master bridge up
  in_network "$1" ip address add "$(address "$1")/24" dev eth0
  in_network "$1" ip link set eth0 up
}

boot() {
  hold "$1"
  connect "$1"
}

up() {
  [[ $1 =~ ^[0-9]+$ ]] && [ "$1" -ge 1 ] && [ "$1" -le 200 ] || usage
  [ ! -e "$state/switch" ] || fail "the hosts of $state are up already"
  mkdir -p "$state"
  local hosts=(head) host
  for ((number = 1; number <= $1; number++)); do hosts+=("node$number"); done
  {
    echo "127.0.0.1 localhost"
    for host in "${hosts[@]}"; do echo "$(address "$host") $host"; done
  } >"$state/addresses"
  hold switch
  in_network switch ip link add name bridge type bridge
  in_network switch ip link set bridge up
  for host in "${hosts[@]}"; do boot "$host"; done
}

# Asks the kernel rather than the host: the answer holds for what a fault has left behind, too.
processes() {
  local network
  network=$(<"$state/$1/network")
  { find /proc/[0-9]*/ns/net -lname "${network//[\[\]]/?}" 2>/dev/null || true; } |
    cut -d/ -f3 | grep -vxF -f "$state/$1/keepers" || true
}

# Ends every process of a host at once, as far as that is possible.
end() {
  lives "$1" || return 0
  local processes
  processes=$(processes "$1")
  # shellcheck disable=SC2086
  kill -KILL "$(<"$state/$1/process")" $processes 2>/dev/null || true
  rm -f "$state/$1/process"
  [ ! -e "$state/$1/group" ] || remove_group "$1"
}

# The link goes first: a machine without power says goodbye to nobody.
off() {
  in_network switch ip link delete "$1"
  end "$1"
  rm -rf "$state/$1/temporary"
}

down() {
  local host
  for host in "$state"/*/; do end "$(basename "$host")"; done
  rm -rf "$state"
}

bytes() { in_network switch sed -n "s/^ *$1: *//p" /proc/net/dev | awk '{ print $9, $1 }'; }

rate() {
  local limit=(root tbf rate "${2}kbit" burst 32kbit latency 400ms)
  in_network switch tc qdisc replace dev "$1" "${limit[@]}"
  in_network "$1" tc qdisc replace dev eth0 "${limit[@]}"
}

# Limits a host by a control group of its own; exec puts into it what it starts.
slow() {
  local hierarchy group process
  hierarchy=$(cpu_hierarchy) || fail "this machine has no control groups that limit cores"
  group=$hierarchy/unbraid-$(tr -dc 0-9 <"$state/$1/network")
  mkdir -p "$group"
  echo "$group" >"$state/$1/group"
  if [ -e "$group/cpu.max" ]; then
    echo "$(($2 * 1000)) 100000" >"$group/cpu.max"
  else
    echo 100000 >"$group/cpu.cfs_period_us"
    echo "$(($2 * 1000))" >"$group/cpu.cfs_quota_us"
  fi
  for process in $(processes "$1"); do echo "$process" >"$group/cgroup.procs" 2>/dev/null || true; done
}

# A group can go when the last of its processes has, which may take the kernel a moment.
remove_group() {
  local group tries=0
  group=$(<"$state/$1/group")
  until rmdir "$group" 2>/dev/null || [ $((tries += 1)) -gt 100 ]; do sleep 0.02; done
  rm -f "$state/$1/group"
}

# The folder below which control groups limit cores, of either version.
cpu_hierarchy() {
  local kind folder options
  while read -r _ folder kind options _; do
    case "$kind:,$options," in
    cgroup:*,cpu,*) echo "$folder"; return ;;
    cgroup2:*)
      grep -qw cpu "$folder/cgroup.subtree_control" 2>/dev/null ||
        { echo +cpu >"$folder/cgroup.subtree_control"; } 2>/dev/null || continue
      echo "$folder"
      return
      ;;
    esac
  done </proc/mounts
  return 1
}

run() {
  [ ! -e "$state/$1/group" ] || echo $$ >"$(<"$state/$1/group")/cgroup.procs"
  exec nsenter --target "$(<"$state/$1/process")" --net --uts --ipc --mount --pid -- \
    env --chdir "$PWD" TMPDIR="$state/$1/temporary" "${@:2}"
}

possible() {
  local program
  [ "$(id -u)" -eq 0 ] || { echo "hosts out of namespaces need root"; return 1; }
  for program in ip tc unshare nsenter; do
    command -v "$program" >/dev/null || { echo "$program is not installed"; return 1; }
  done
  unshare --net --uts --ipc --mount --pid --fork --mount-proc true 2>/dev/null ||
    { echo "this machine allows no new namespaces"; return 1; }
  unshare --net sh -c 'ip link add name one type veth peer name other && ip link add name third type bridge' 2>/dev/null ||
    { echo "this kernel has no virtual links or bridges"; return 1; }
}

command=${1:-}
case "$command:$#" in
possible:1) possible; exit ;;
esac
[ -n "${UNBRAID_HOSTS:-}" ] || { echo "hosts.sh: UNBRAID_HOSTS names no state folder" >&2; usage; }
state=$(realpath -m "$UNBRAID_HOSTS")

case "$command:$#" in
up:2) up "$2" ;;
down:1) down ;;
address:2) address "$2" ;;
temporary:2) echo "$state/$2/temporary" ;;
boot:2)
  [ -d "$state/$2" ] || fail "there is no host $2 in $state"
  ! lives "$2" || fail "host $2 is on"
  boot "$2"
  ;;
processes:2 | bytes:2 | off:2) require_host "$2"; "$command" "$2" ;;
unplug:2) require_host "$2"; in_network switch ip link set "$2" down ;;
plug:2) require_host "$2"; in_network switch ip link set "$2" up ;;
rate:3 | slow:3) require_host "$2"; "$command" "$2" "$3" ;;
exec:*) [ $# -ge 3 ] || usage; require_host "$2"; run "${@:2}" ;;
*) usage ;;
esac

# Sourced by the scripts here: steps that more than one of them takes.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*"; }

# Installs the packages of a list here that are missing; asks for nothing when none is.
install_packages() {
  local missing=() package
  while read -r package; do
    case "$package" in '' | '#'*) continue ;; esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done <"$repository/deploy/$1"
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  local privileged=()
  [ "$(id -u)" -eq 0 ] || privileged=(sudo)
  "${privileged[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${privileged[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# Installs what the checks on several hosts need, where that takes no password; they skip what stays missing.
install_cluster_packages() {
  [ "$(id -u)" -eq 0 ] || return 0
  (install_packages apt-packages-cluster.txt) || echo "not installed: the checks that need them will say so"
}

require_swift() {
  command -v swift >/dev/null && return
  echo "swift is missing: install Swift 6.2 or newer from swift.org and put it in PATH" >&2
  exit 69
}

build_release() {
  say "building (release)"
  swift build --package-path "$repository" -c release "$@"
  products=$(swift build --package-path "$repository" -c release --show-bin-path)
}

# Settings for running ranks on this machine alone; a cluster's own settings stay as they are.
use_this_machine_for_mpi() {
  if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
  export OPENBLAS_NUM_THREADS=1
  mpi_run=(mpirun --oversubscribe --bind-to none)
}

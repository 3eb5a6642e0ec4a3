#!/usr/bin/env bash
# Makes the Python environment of the consumer checks in DIR and prints its interpreter's path.
#
#   deploy/consumers/environment.sh DIR
set -euo pipefail
directory=${1:?usage: environment.sh DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)

# has LIST: whether everything in the list is there. A stamp is the last to be written: what was interrupted has none.
has() {
  sha256sum --status --check "$directory/$1.sha256" <"$here/$1" 2>/dev/null
}

# install LIST OPTION...
install() {
  "$directory/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/$1" "${@:2}" >&2 &&
    sha256sum - <"$here/$1" >"$directory/$1.sha256"
}

if ! has requirements.txt; then
  rm -rf "$directory"
  python3 -m venv "$directory" >&2
  install requirements.txt
fi
# vLLM asks for an older Transformers and 2 GB that nobody needs here: the list is what it imports. Without it its checks
# are skipped.
if ! has requirements-vllm.txt; then
  install requirements-vllm.txt --no-deps || echo "note: vLLM cannot be installed here; its checks are skipped" >&2
fi
echo "$directory/bin/python"

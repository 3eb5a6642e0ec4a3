#!/usr/bin/env bash
# Makes the Python environment of the consumer checks in DIR and prints its interpreter's path.
#
#   deploy/consumers/environment.sh DIR
set -euo pipefail
directory=${1:?usage: environment.sh DIR}
requirements=$(dirname "${BASH_SOURCE[0]}")/requirements.txt

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
stamp=$directory/requirements.sha256
# The stamp comes last: an environment that was interrupted has none and is made again.
if ! sha256sum --status --check "$stamp" <"$requirements" 2>/dev/null; then
  rm -rf "$directory"
  python3 -m venv "$directory" >&2
  "$directory/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" >&2
  sha256sum - <"$requirements" >"$stamp"
fi
echo "$directory/bin/python"

# shellcheck shell=sh
# Finds a Node.js that is new enough and becomes it; sourced by overlayadm and overlayd, which set $file,
# $program, and perhaps $flags for Node.js.

# Keep in step with `engines` in package.json and with node-version.cjs.
least_major=22
least_minor=18
found=

# Is this text ("v24.21.0") the version of a Node.js that we can run on?
fits() {
  number=${1#v}
  major=${number%%.*}
  rest=${number#*.}
  minor=${rest%%.*}
  case $major$minor in *[!0-9]* | '') return 1 ;; esac
  [ "$major" -gt $least_major ] || { [ "$major" -eq $least_major ] && [ "$minor" -ge $least_minor ]; }
}

# Becomes candidate $1 when it fits; else returns, and $found remembers the first that did not. The version is asked for
# first (5 ms, against 35 ms of a start), because after exec there is no way back here; and without exec a signal or a
# parent-death signal would reach this shell instead of overlayd.
try() {
  candidate=$1
  shift
  [ -f "$candidate" ] && [ -x "$candidate" ] || return 0
  version=$("$candidate" --version 2>/dev/null)
  fits "$version" && exec "$candidate" ${flags-} "$script" "$@"
  [ -n "$found" ] || found="${version:-something else} at $candidate"
}

refuse() {
  printf '%s: needs Node.js %s.%s or newer; %s\n' "$program" $least_major $least_minor "$1" >&2
  exit 1
}

bin=${file%/*}
script=$bin/$program.js
[ -f "$bin/$program.cjs" ] && script=$bin/$program.cjs

if [ -n "${OVERLAYADM_NODE-}" ]; then
  try "$OVERLAYADM_NODE" "$@"
  refuse "OVERLAYADM_NODE names ${found:-$OVERLAYADM_NODE, which is no program}"
fi

# A checkout brings its own, of a version that is known.
for node in "$bin/../node_modules/.bin/node" "$bin/../tools/node/node_modules/.bin/node"; do
  [ -x "$node" ] && exec "$node" ${flags-} "$script" "$@"
done

# Beside the link that npm made (PREFIX/bin), then PATH, then where packages put it when PATH is short or not set at all.
case $0 in */*) try "${0%/*}/node" "$@" ;; esac
rest_of_path=${PATH-}:
while [ -n "$rest_of_path" ]; do
  folder=${rest_of_path%%:*}
  rest_of_path=${rest_of_path#*:}
  # A relative folder would make root run what lies in the current one.
  case $folder in /*) try "$folder/node" "$@" ;; esac
done
for folder in /usr/local/bin /usr/bin /opt/node/bin; do
  try "$folder/node" "$@"
done
refuse "found ${found:-none}; set OVERLAYADM_NODE to one"

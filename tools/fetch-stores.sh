#!/usr/bin/env bash
# Unpacks the Redis, Valkey and Redict of several Debian releases into a folder, and installs nothing. It prints one line
# for `npm run test:stores`: UMBEL_STORES with the path of each program. Needs apt-get, dpkg-deb and Debian's archive keys.
#
#   export UMBEL_STORES=$(tools/fetch-stores.sh /tmp/stores)
set -euo pipefail
folder=${1:?give a folder}
mirror=http://deb.debian.org/debian
keys=/usr/share/keyrings/debian-archive-keyring.gpg
# release, package, program. The package of the tools contains the server as well.
rows='trixie redis-tools redis-check-rdb
sid redis-tools redis-check-rdb
bookworm-backports valkey-tools valkey-check-rdb
trixie valkey-tools valkey-check-rdb
sid valkey-tools valkey-check-rdb
sid redict-tools redict-check-rdb'

programs=()
while read -r release package program; do
  root=$folder/$release
  mkdir -p "$root"/{etc/preferences.d,etc/sources.list.d,etc/apt.conf.d,state/lists/partial,cache/archives/partial} "$folder/bin"
  touch "$root/state/status"
  apt=(-o "Dir::Etc=$root/etc" -o "Dir::State=$root/state" -o "Dir::Cache=$root/cache" -o "Dir::State::status=$root/state/status" -qq)
  if [ ! -f "$root/etc/sources.list" ]; then
    echo "deb [signed-by=$keys] $mirror $release main" >"$root/etc/sources.list"
    case $release in *-backports) echo "deb [signed-by=$keys] $mirror ${release%-backports} main" >>"$root/etc/sources.list" ;; esac
    apt-get "${apt[@]}" update >&2
  fi
  unpacked=$root/$package
  if [ ! -d "$unpacked" ]; then
    target=()
    case $release in *-backports) target=(-t "$release") ;; esac
    apt-get "${apt[@]}" clean
    apt-get "${apt[@]}" install --yes --download-only --no-install-recommends "${target[@]}" "$package" >&2
    for file in "$root"/cache/archives/*.deb; do dpkg-deb -x "$file" "$unpacked"; done
  fi
  # The server is the same program under another name. It needs the libraries of its own release.
  server=${program%-check-rdb}-server
  cp "$unpacked/usr/bin/$program" "$unpacked/usr/bin/$server.$release"
  loader=
  for file in "$unpacked"/{,usr/}lib/x86_64-linux-gnu/ld{-linux-x86-64.so.2,-2.*.so}; do
    [ ! -e "$file" ] || loader=$file
  done
  libraries=$unpacked/lib/x86_64-linux-gnu:$unpacked/usr/lib/x86_64-linux-gnu
  run=$folder/bin/$server-$release
  printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$libraries" "$unpacked/usr/bin/$server.$release" >"$run"
  chmod +x "$run"
  "$run" --version >&2
  programs+=("$run")
done <<<"$rows"
(IFS=:; echo "${programs[*]}")

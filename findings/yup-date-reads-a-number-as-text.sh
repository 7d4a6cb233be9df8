#!/usr/bin/env bash
# yup 1.7.1: `date()` reads a number as the text of a date.
#
# Expected: a number is milliseconds since 1970, as in `new Date(number)`: 0 is 1970, and 1700000000000 is a day in
#           2023.
# Seen:     the number becomes text, which is then parsed as a date: 0 is the year 2000, 5 is May 2001, and
#           1700000000000 is invalid.
# Why it matters: a timestamp in milliseconds, the usual form in JSON, is refused, and a small one is silently another
#           date.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund yup@1.7.1 >/dev/null
cat > program.cjs <<'JS'
const yup = require('yup');
const dateOf = (value) => { try { return yup.date().cast(value).toISOString().slice(0, 7); } catch { return 'invalid'; } };
console.log([0, 5, 1_700_000_000_000].map(dateOf).join(', '));
JS
seen=$(node program.cjs)
expected='2000-01, 2001-05, invalid'
echo "yup 1.7.1: $seen"
[ "$seen" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }

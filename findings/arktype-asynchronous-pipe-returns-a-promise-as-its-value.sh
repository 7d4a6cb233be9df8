#!/usr/bin/env bash
# arktype 2.2.10: an asynchronous `pipe` is not awaited: the valid value is a promise.
#
# Expected: `validate` of Standard Schema, which may return a promise of its result, waits for the pipe, as zod and
#           valibot do.
# Seen:     it returns at once, and `value` is the promise; a pipe that rejects is no issue, but an unhandled
#           rejection.
# Why it matters: a receiver that awaits the result of `validate` receives a promise where it expects the value.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund arktype@2.2.10 >/dev/null
cat > program.cjs <<'JS'
const { type } = require('arktype');
const result = type('string').pipe(async (text) => text.length)['~standard'].validate('abc');
console.log(result instanceof Promise ? 'waits' : 'returns at once', result.value instanceof Promise ? 'a promise' : typeof result.value);
JS
seen=$(node program.cjs)
expected='returns at once a promise'
echo "arktype 2.2.10: $seen"
[ "$seen" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }

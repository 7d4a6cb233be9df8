#!/usr/bin/env bash
# joi 18.3.2: validation by Standard Schema reports only the first issue.
#
# Expected: `~standard.validate` returns all issues: its result is a list, and other libraries fill it.
# Seen:     it returns one, because `abortEarly` is true by default. `.prefs({ abortEarly: false })` returns all.
# Why it matters: a form shows one mistake at a time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund joi@18.3.2 >/dev/null
cat > program.cjs <<'JS'
const Joi = require('joi');
const schema = Joi.object({ a: Joi.number(), b: Joi.number() });
const count = (each) => each['~standard'].validate({ a: 'x', b: 'y' }).issues.length;
console.log(count(schema), count(schema.prefs({ abortEarly: false })));
JS
seen=$(node program.cjs)
expected='1 2'
echo "joi 18.3.2: $seen"
[ "$seen" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }

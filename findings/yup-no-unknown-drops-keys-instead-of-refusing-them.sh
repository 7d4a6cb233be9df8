#!/usr/bin/env bash
# yup 1.7.1: `noUnknown()` drops unknown keys and reports none, unless the schema is also strict.
#
# Expected: validation fails, as the name and the error message "unspecified keys" suggest.
# Seen:     the value is valid, and the result lacks the key. `.noUnknown().strict()` and `.exact()` refuse it.
# Why it matters: a misspelt optional key is silently lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund yup@1.7.1 >/dev/null
cat > program.cjs <<'JS'
const yup = require('yup');
const base = yup.object({ size: yup.number() });
const value = { sise: 1 };
const outcome = (schema) => schema.validate(value).then((result) => `valid, ${JSON.stringify(result)}`, () => 'refused');
Promise.all([base.noUnknown(), base.noUnknown().strict(), base.exact()].map(outcome)).then((seen) => console.log(seen.join('; ')));
JS
seen=$(node program.cjs)
expected='valid, {}; refused; refused'
echo "yup 1.7.1: $seen"
[ "$seen" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }

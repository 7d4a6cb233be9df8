#!/usr/bin/env bash
# effect 4.1.0: the JSON Schema of `Schema.Number` accepts three texts that the schema refuses.
#
# Expected: the JSON Schema of the input accepts what decoding accepts.
# Seen:     the JSON Schema accepts "Infinity", "-Infinity" and "NaN" beside numbers; decoding them fails.
# Why it matters: a form or a client that is made from the JSON Schema is not typed as a number, and may send text.
#           `Schema.Finite` has no such alternative.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund effect@4.1.0 >/dev/null
cat > program.cjs <<'JS'
const { Schema } = require('effect');
const { jsonSchema, validate } = Schema.toStandardJSONSchemaV1(Schema.toStandardSchemaV1(Schema.Number))['~standard'];
const [, texts] = jsonSchema.input({ target: 'draft-2020-12' }).anyOf;
console.log(texts.enum.map((text) => `${text}: ${validate(text).issues ? 'refused' : 'accepted'}`).join(', '));
JS
seen=$(node program.cjs)
expected='Infinity: refused, -Infinity: refused, NaN: refused'
echo "effect 4.1.0: $seen"
[ "$seen" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }

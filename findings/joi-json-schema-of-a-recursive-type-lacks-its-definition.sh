#!/usr/bin/env bash
# joi 18.3.2: the JSON Schema of a recursive schema refers to a definition that it does not have.
#
# Expected: `$ref: '#/$defs/tree'` comes with `$defs: { tree: … }`, or is `$ref: '#'`.
# Seen:     the reference is there and `$defs` is not.
# Why it matters: validators of JSON Schema refuse the whole schema, also for its parts that are not recursive.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund joi@18.3.2 >/dev/null
cat > program.cjs <<'JS'
const Joi = require('joi');
const tree = Joi.object({ value: Joi.number(), children: Joi.array().items(Joi.link('#tree')) }).id('tree');
const schema = tree['~standard'].jsonSchema.input({ target: 'draft-2020-12' });
console.log(schema.properties.children.items.$ref, '$defs' in schema ? 'with $defs' : 'without $defs');
JS
seen=$(node program.cjs)
expected='#/$defs/tree without $defs'
echo "joi 18.3.2: $seen"
[ "$seen" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }

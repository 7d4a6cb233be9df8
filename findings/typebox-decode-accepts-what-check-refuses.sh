#!/usr/bin/env bash
# typebox 1.4.3: `Value.Decode` accepts and changes a value that `Value.Check` refuses.
#
# Expected: `Decode` runs the codecs of a value that fits the schema, and throws for any other, as `Parse` does.
# Seen:     it converts text to a number and drops a key, although the schema has no codec and refuses other keys.
# Why it matters: a service that decodes accepts more than one that checks the same schema.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund typebox@1.4.3 >/dev/null
cat > program.mjs <<'JS'
import Type from 'typebox';
import Value from 'typebox/value';
const schema = Type.Object({ n: Type.Number() }, { additionalProperties: false });
const value = { n: '5', other: 1 };
const attempt = (run) => { try { return JSON.stringify(run(schema, value)); } catch { return 'refused'; } };
console.log(`Check ${Value.Check(schema, value)}, Parse ${attempt(Value.Parse)}, Decode ${attempt(Value.Decode)}`);
JS
seen=$(node program.mjs)
expected='Check false, Parse refused, Decode {"n":5}'
echo "typebox 1.4.3: $seen"
[ "$seen" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }

#!/usr/bin/env bash
# valibot 1.5.0: an object without required keys accepts a list, and returns an empty object.
#
# Expected: `object({ size: optional(number()) })` refuses `[{ size: 1 }]`, as zod does.
# Seen:     it is valid, and the result is `{}`.
# Why it matters: a caller that passes a list of options instead of one gets the defaults, without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund valibot@1.5.0 zod@4.6.7 >/dev/null
cat > program.cjs <<'JS'
const v = require('valibot');
const { z } = require('zod');
const value = [{ size: 1 }];
const ofValibot = v.safeParse(v.object({ size: v.optional(v.number()) }), value);
const ofZod = z.object({ size: z.number().optional() }).safeParse(value);
console.log(ofValibot.success ? `valid, ${JSON.stringify(ofValibot.output)}` : 'refused', ofZod.success ? 'valid' : 'refused');
JS
seen=$(node program.cjs)
expected='valid, {} refused'
echo "valibot 1.5.0: $seen"
[ "$seen" = "$expected" ] || { echo "changed: expected \"$expected\""; exit 1; }

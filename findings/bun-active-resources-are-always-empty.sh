#!/usr/bin/env bash
# bun 1.4.5: process.getActiveResourcesInfo() is empty while timers are pending.
#
# Expected: as in Node, the list has "Timeout" for a pending timer. Deno has it as well.
# Seen:     the list is empty, with one pending timer and with a listening server too. No error is raised.
# Why it matters: test tools and shutdown code ask it whether a process is at rest. In Bun they always hear that it is: a test
#           app of Umbel takes a handler that waits for a timer and listens to its signal for idle, and lets its timeout pass.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund bun@1.4.5 >/dev/null
cat > program.mjs <<'JS'
import { createServer } from 'node:net';
const timer = setTimeout(() => {}, 60_000);
const server = createServer().listen(0, '127.0.0.1', () => {
  const types = process.getActiveResourcesInfo();
  console.log(`timer ${types.includes('Timeout')}, server ${types.some((type) => /Server/.test(type))}`);
  clearTimeout(timer);
  server.close();
});
JS
seen="bun: $(node_modules/.bin/bun program.mjs)
node: $(node program.mjs)"
expected='bun: timer false, server false
node: timer true, server true'
echo "bun 1.4.5:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

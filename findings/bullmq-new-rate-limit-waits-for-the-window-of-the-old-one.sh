#!/usr/bin/env bash
# bullmq 6.7.0: a new rate limit does not hold before the window of the old one has passed, if its number is not larger.
#
# Expected: after `setGlobalRateLimit(2, 1000)` two waiting jobs start each second.
# Seen:     a limit of three jobs a day is used up, and with the new limit none of the waiting jobs starts, also in a
#           worker that is started afterwards: the count and the time to live of the old window stay. They start once
#           `removeRateLimitKey()` has been called as well.
# Why it matters: an operator, or a deployment, that turns "3 a day" into "2 a second" changes nothing until the day is over.
# Needs `redis-server`.
set -euo pipefail
folder=$(mktemp -d)
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$folder" >/dev/null &
redis=$!
trap 'kill "$redis" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund bullmq@6.7.0 ioredis@6.0.0 >/dev/null
cat > program.cjs <<'JS'
const { Queue, Worker } = require('bullmq');
const connection = { host: '127.0.0.1', port: Number(process.argv[2]) };
const queue = new Queue('work', { connection });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
(async () => {
  await queue.setGlobalRateLimit(3, 86_400_000);
  await queue.addBulk([1, 2, 3, 4, 5].map((n) => ({ name: 'job', data: { n } })));
  const completed = async (after) => {
    const worker = new Worker('work', async () => {}, { connection });
    await worker.waitUntilReady();
    await sleep(2500);
    await worker.close(true);
    console.log(after + ': ' + (await queue.getCompletedCount()) + ' of 5 completed');
  };
  await completed('three a day');
  await queue.setGlobalRateLimit(2, 1000);
  await completed('two a second');
  await queue.removeRateLimitKey();
  await completed('key removed');
  await queue.close();
  process.exit(0);
})();
JS
seen=$(node program.cjs "$port")
expected='three a day: 3 of 5 completed
two a second: 3 of 5 completed
key removed: 5 of 5 completed'
echo "bullmq 6.7.0:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

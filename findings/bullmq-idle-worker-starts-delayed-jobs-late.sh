#!/usr/bin/env bash
# bullmq 6.7.0: an idle worker starts a delayed job tens of milliseconds late.
#
# Expected: a worker that has nothing else to do starts a delayed job when it is due: a wait of a millisecond is possible.
# Seen:     it starts 0 to 100 ms late, with a median of about 50 ms. The worker waits with BZPOPMIN, whose time limit is
#           the moment of the next delayed job. Redis checks time limits in its periodic task, which runs ten times a second
#           (`hz 10`). With `hz 100` the median is a few milliseconds: the wait is what is late, not the worker.
# Why it matters: job schedulers, retries with a short backoff and rate limits are late by as much. A busy worker is not.
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
const { Redis } = require('ioredis');
const connection = { host: '127.0.0.1', port: Number(process.argv[2]) };
const queue = new Queue('work', { connection });
const redis = new Redis(connection.port, connection.host);
const JOBS = 40;
(async () => {
  let started = () => {};
  const worker = new Worker('work', async ({ data }) => started(Date.now() - data.dueAt), { connection });
  await worker.waitUntilReady();
  const median = async () => {
    const late = [];
    for (let job = 0; job < JOBS; job += 1) {
      const delay = 101 + 7 * (job % 13); // due at every phase of the periodic task
      const ran = new Promise((resolve) => { started = resolve; });
      await queue.add('job', { dueAt: Date.now() + delay }, { delay });
      late.push(await ran);
    }
    return late.sort((a, b) => a - b)[JOBS / 2];
  };
  await median(); // connected and compiled
  const usual = await median();
  await redis.config('SET', 'hz', '100');
  const often = await median();
  console.error(`median: ${usual} ms late, with hz 100 ${often} ms late`);
  console.log(usual > 20 && often < usual / 2 ? 'late by the periodic task of Redis' : 'not late by it');
  await worker.close();
  await queue.close();
  process.exit(0);
})();
JS
seen=$(node program.cjs "$port")
expected='late by the periodic task of Redis'
echo "bullmq 6.7.0: $seen"
[ "$seen" = "$expected" ] || { echo "changed, expected: $expected"; exit 1; }

#!/usr/bin/env bash
# bullmq 6.7.0: `removeOnComplete: { age }` of one job decides about every completed job of its queue.
#
# Expected: the option stands on a job, so it says how long that job is kept.
# Seen:     a job that is to be kept for a day is gone as soon as another job of the queue, which is to be kept for a
#           second, completes two seconds later. A job with `removeOnComplete: false` is gone as well.
# Why it matters: results of different tasks in one queue cannot have different times to live, and a short one removes
# what others still wait for.
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
const worker = new Worker('work', async () => 'done', { connection, autorun: false });
const run = async (name, removeOnComplete) => {
  const job = await queue.add(name, {}, { jobId: name, removeOnComplete });
  const claimed = await worker.getNextJob('token');
  await claimed.moveToCompleted('done', 'token', false);
  return job;
};
(async () => {
  await worker.waitUntilReady();
  await run('kept-for-a-day', { age: 86_400 });
  await run('kept-always', false);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await run('kept-for-a-second', { age: 1 });
  for (const id of ['kept-for-a-day', 'kept-always', 'kept-for-a-second']) console.log(id + ': ' + (await queue.getJobState(id)));
  await worker.close();
  await queue.close();
})();
JS
seen=$(node program.cjs "$port")
expected='kept-for-a-day: unknown
kept-always: unknown
kept-for-a-second: completed'
echo "bullmq 6.7.0:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

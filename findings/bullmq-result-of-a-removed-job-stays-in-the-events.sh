#!/usr/bin/env bash
# bullmq 6.7.0: the result of a job that was removed when it completed is still in the store.
#
# Expected: with `removeOnComplete: true` nothing of the job is left once it has completed.
# Seen:     the job is gone, and its whole result, 200,000 characters, stands in the queue's stream of events, from which
#           only about 10,000 newer events push it out. No time removes it.
# Why it matters: memory is sized by the jobs that are kept, and data that must not be kept is. `queue.trimEvents(0)`
# removes it.
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
const { Queue, QueueEvents, Worker } = require('bullmq');
const { Redis } = require('ioredis');
const connection = { host: '127.0.0.1', port: Number(process.argv[2]) };
(async () => {
  const queue = new Queue('reports', { connection });
  const events = new QueueEvents('reports', { connection });
  await events.waitUntilReady();
  const worker = new Worker('reports', async () => 'x'.repeat(200_000), { connection });
  const job = await queue.add('report', {}, { removeOnComplete: true });
  await job.waitUntilFinished(events);
  console.log('job: ' + ((await queue.getJob(job.id)) === undefined ? 'gone' : 'there'));
  const redis = new Redis(connection);
  const longest = async () => {
    const all = await redis.xrange('bull:reports:events', '-', '+');
    return Math.max(0, ...all.flatMap(([, fields]) => fields.map((field) => field.length)));
  };
  console.log('longest field of its events: ' + (await longest()) + ' characters');
  console.log('time to live of the events: ' + (await redis.pttl('bull:reports:events')));
  await queue.trimEvents(0);
  console.log('after trimEvents(0): ' + (await longest()) + ' characters');
  await worker.close(true);
  process.exit(0);
})();
JS
seen=$(node program.cjs "$port")
expected='job: gone
longest field of its events: 200002 characters
time to live of the events: -1
after trimEvents(0): 0 characters'
echo "bullmq 6.7.0:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

#!/usr/bin/env bash
# bullmq 6.7.0: a job scheduler that has reached its `limit` or its `endDate` is listed for ever, with a next time at which
# nothing runs.
#
# Expected: after its last job the scheduler is gone, or shows that no other job follows.
# Seen:     getJobSchedulers() lists it with `next` in the future (later: in the past), and no job waits for that time.
# Why it matters: a page or a check that reads `next` reports an overdue schedule; programs that add a scheduler with a limit
#           for each customer or campaign fill the store, because nothing removes them.
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
const run = async (title, repeat, expected) => {
  let count = 0;
  await queue.upsertJobScheduler(title, repeat, { name: title });
  const worker = new Worker('work', async () => void (count += 1), { connection });
  const begun = Date.now();
  while (count < expected || Date.now() < begun + 2000) await new Promise((resolve) => setTimeout(resolve, 50));
  await worker.close();
  const { waiting, delayed } = await queue.getJobCounts('waiting', 'delayed');
  const scheduler = await queue.getJobScheduler(title);
  console.log(`${title}: ${count} jobs, then ${waiting + delayed}; listed ${scheduler != null}, next ${typeof scheduler?.next}`);
};
(async () => {
  await run('limit', { every: 100, limit: 2 }, 2);
  await run('cron', { pattern: '* * * * * *', limit: 1 }, 1);
  await queue.close();
})();
JS
seen=$(node program.cjs "$port")
expected='limit: 2 jobs, then 0; listed true, next number
cron: 1 jobs, then 0; listed true, next number'
echo "bullmq 6.7.0:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

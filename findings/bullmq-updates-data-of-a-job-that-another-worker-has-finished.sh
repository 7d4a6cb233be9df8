#!/usr/bin/env bash
# bullmq 6.7.0: `job.updateData` and `job.updateProgress` of a worker that has lost its lock change a job that another
# worker has already completed.
#
# Expected: what guards `moveToCompleted` (the token of the lock) guards the other writes of a processor as well; at least
#           a job that has completed does not change any more.
# Seen:     both calls succeed, and whoever reads the completed job afterwards sees the data and the progress of the
#           attempt that was lost. Only the last call, `moveToCompleted`, is refused.
# Why it matters: what a processor notes with its job (a reason, a checkpoint) may be overwritten by a stale attempt.
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
const worker = new Worker('work', async () => {}, { connection, autorun: false, lockDuration: 200 });
(async () => {
  await worker.waitUntilReady();
  await queue.add('job', { by: 'sender' }, { jobId: 'a' });
  const first = await worker.getNextJob('first');
  await new Promise((resolve) => setTimeout(resolve, 400)); // its lock runs out: the process stood still
  await worker.startStalledCheckTimer();
  let second;
  while (second === undefined || second === null) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    second = await worker.getNextJob('second', { block: false });
  }
  await second.updateData({ by: 'second attempt' });
  await second.moveToCompleted('result of the second attempt', 'second', false);
  await first.updateData({ by: 'first attempt' });
  await first.updateProgress(50);
  const refused = await first.moveToCompleted('result of the first attempt', 'first', false).then(() => 'taken', () => 'refused');
  const job = await queue.getJob('a');
  console.log('state ' + (await job.getState()) + ', result: ' + job.returnvalue);
  console.log('data: ' + JSON.stringify(job.data) + ', progress: ' + job.progress);
  console.log('moveToCompleted of the first attempt: ' + refused);
  await worker.close(true);
  await queue.close();
  process.exit(0);
})();
JS
seen=$(node program.cjs "$port")
expected='state completed, result: result of the second attempt
data: {"by":"first attempt"}, progress: 50
moveToCompleted of the first attempt: refused'
echo "bullmq 6.7.0:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

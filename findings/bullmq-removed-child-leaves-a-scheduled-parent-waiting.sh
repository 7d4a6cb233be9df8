#!/usr/bin/env bash
# bullmq 6.7.0: a job of a job scheduler waits forever if its last pending child is removed.
#
# Expected: when the last pending child of a job is removed, the job continues. This holds for every other parent.
# Seen:     the removal takes the text after the last colon of the parent's key as the parent's id. The id of a scheduler's
#           job contains colons (repeat:<scheduler>:<milliseconds>), so the removal looks for "<milliseconds>", finds
#           nothing, and the job stays in the state waiting-children without children. No error is raised.
# Why it matters: a step of a scheduled flow that somebody removes (by a dashboard or `remove()`) parks its parent silently.
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
const worker = new Worker('work', null, { connection, autorun: false });
const tryParent = async (title) => {
  const parent = await worker.getNextJob('token');
  const child = await queue.add('child', {}, { delay: 3_600_000, parent: { id: parent.id, queue: parent.queueQualifiedName } });
  await parent.moveToWaitingChildren('token');
  await child.remove();
  const { unprocessed } = await parent.getDependenciesCount({ unprocessed: true });
  console.log(`${title}: ${await parent.getState()}, ${unprocessed} pending children`);
  await queue.obliterate({ force: true });
};
(async () => {
  await worker.waitUntilReady();
  await queue.add('plain', {});
  await tryParent('plain job');
  await queue.upsertJobScheduler('hourly', { every: 3_600_000 });
  await tryParent('job of a scheduler');
  await worker.close();
  await queue.close();
})();
JS
seen=$(node program.cjs "$port")
expected='plain job: waiting, 0 pending children
job of a scheduler: waiting-children, 0 pending children'
echo "bullmq 6.7.0:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

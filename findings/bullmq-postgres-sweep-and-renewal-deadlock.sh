#!/usr/bin/env bash
# bullmq 6.7.0 with pg 8.23.1: on PostgreSQL, workers of one queue deadlock with each other.
#
# Expected: workers with many jobs at a time renew their locks and look for stalled jobs without errors, as on Redis.
# Seen:     the renewal of the locks of several jobs (`extend_locks`) and the search for stalled jobs
#           (`move_stalled_jobs_to_wait`) lock rows in different orders and wait for them. The server ends one of them with
#           "deadlock detected", some times in a minute.
# Why it matters: a renewal that was ended leaves all its jobs without a lock. Such jobs are taken for stalled, and start
#           again while they run.
# Needs the programs of a PostgreSQL server (`initdb` and `postgres`).
set -euo pipefail
programs=$(dirname "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -1)")
folder=$(mktemp -d)
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
as=()
if [ "$(id -u)" = 0 ]; then # the server refuses to run as root
  as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  chown 65534:65534 "$folder"
fi
trap 'kill "$(head -1 "$folder/data/postmaster.pid" 2>/dev/null)" 2>/dev/null || true; sleep 1; rm -rf "$folder"' EXIT
(cd "$folder" && "${as[@]}" "$programs/initdb" -D data -U finder -A trust --no-sync >/dev/null)
cat > "$folder/start" <<START
#!/usr/bin/env bash
cd "$folder"
exec ${as[@]} "$programs/postgres" -D data -p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories="$folder"
START
mkdir "$folder/program"
cd "$folder/program"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund bullmq@6.7.0 pg@8.23.1 >/dev/null
cat > program.cjs <<'JS'
const { spawn } = require('child_process');
const { createPostgresBackend, Queue, Worker } = require('bullmq');
const { Client } = require('pg');
const [, , port, start] = process.argv;
const url = `postgres://finder@127.0.0.1:${port}/postgres`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const LOCK_MS = 1000;
(async () => {
  spawn('bash', [start], { stdio: 'ignore', detached: true }).unref();
  for (let isUp = false; !isUp; ) {
    const client = new Client({ connectionString: url });
    client.on('error', () => {});
    isUp = await client.connect().then(() => true, () => false);
    await client.end().catch(() => {});
    await pause(50);
  }
  const connection = { connectionString: url, migrate: true };
  const queue = new Queue('work', { connection }, createPostgresBackend);
  await queue.waitUntilReady();
  const options = { connection, concurrency: 80, lockDuration: LOCK_MS, stalledInterval: LOCK_MS / 10, maxStalledCount: 10 };
  const run = () => pause(Math.random() * 1.5 * LOCK_MS);
  const workers = Array.from({ length: 4 }, () => new Worker('work', run, options, createPostgresBackend));
  for (const worker of workers) worker.on('error', () => {});
  const client = new Client({ connectionString: url });
  await client.connect();
  const deadlocks = async () => {
    const text = 'SELECT deadlocks::int AS count FROM pg_stat_database WHERE datname = current_database()';
    return (await client.query(text)).rows[0].count;
  };
  const end = Date.now() + 35_000;
  let count = 0;
  for (let added = 0; count === 0 && Date.now() < end; await pause(100), count = await deadlocks()) {
    if ((await queue.getWaitingCount()) > 200) continue;
    const jobs = Array.from({ length: 100 }, () => ({ name: 'job', data: {}, opts: { jobId: `j${added++}` } }));
    await queue.addBulk(jobs);
  }
  console.log(count > 0 ? 'workers deadlocked' : 'no deadlock');
  process.exit(0);
})();
JS
seen=$(timeout 60 node program.cjs "$port" "$folder/start")
expected='workers deadlocked'
echo "bullmq 6.7.0, pg 8.23.1:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

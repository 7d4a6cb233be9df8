#!/usr/bin/env bash
# bullmq 6.7.0 with pg 8.23.1: on PostgreSQL, `QueueEvents` misses events of calls that overlap.
#
# Expected: as on Redis, where a listener gets a `waiting` event for each job that is added while it runs.
# Seen:     while `addBulk` adds 2,000 jobs, single jobs are added too. Events get their numbers when they are written, and
#           the reader goes on after the last number that it has seen: of the bulk, whose transaction commits later, the
#           events with smaller numbers are never read.
# Why it matters: `waitUntilFinished` and programs that follow events miss what large or slow transactions have done.
# Needs the programs of a PostgreSQL server (`initdb` and `postgres`), and `redis-server`.
set -euo pipefail
programs=$(dirname "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -1)")
folder=$(mktemp -d)
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
as=()
if [ "$(id -u)" = 0 ]; then # the server refuses to run as root
  as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  chown 65534:65534 "$folder"
fi
trap 'kill "${redis:-}" 2>/dev/null || true; kill "$(head -1 "$folder/data/postmaster.pid" 2>/dev/null)" 2>/dev/null || true; sleep 1; rm -rf "$folder"' EXIT
(cd "$folder" && "${as[@]}" "$programs/initdb" -D data -U finder -A trust --no-sync >/dev/null)
cat > "$folder/start" <<START
#!/usr/bin/env bash
cd "$folder"
exec ${as[@]} "$programs/postgres" -D data -p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories="$folder"
START
redis_port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir /tmp >/dev/null &
redis=$!
mkdir "$folder/program"
cd "$folder/program"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund bullmq@6.7.0 ioredis@6.0.0 pg@8.23.1 >/dev/null
cat > program.cjs <<'JS'
const { spawn } = require('child_process');
const { createPostgresBackend, Queue, QueueEvents } = require('bullmq');
const { Client } = require('pg');
const [, , port, start, redisPort] = process.argv;
const url = `postgres://finder@127.0.0.1:${port}/postgres`;
const JOBS = 2000;
const follow = async (store, connection, backend) => {
  const queue = new Queue('mail', { connection }, backend);
  const events = new QueueEvents('mail', { connection }, backend);
  await events.waitUntilReady();
  const seen = new Set();
  let last;
  events.on('waiting', ({ jobId }) => {
    seen.add(jobId);
    last = Date.now();
  });
  while (!seen.has('first')) {
    await queue.add('letter', {}, { jobId: 'first' }).then((job) => job.remove());
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  seen.clear();
  const letters = Array.from({ length: JOBS }, (_, n) => ({ name: 'letter', data: {}, opts: { jobId: `bulk-${n}` } }));
  let isAdded = false;
  const bulk = queue.addBulk(letters).then(() => {
    isAdded = true;
  });
  let singles = 0;
  while (!isAdded) {
    singles += 1;
    await queue.add('letter', {}, { jobId: `single-${singles}` });
  }
  await bulk;
  do await new Promise((resolve) => setTimeout(resolve, 500));
  while (Date.now() - last < 3000);
  const missing = JOBS + singles - [...seen].filter((id) => id !== 'first').length;
  console.log(`${store}: ${missing === 0 ? 'no event is' : 'events are'} missing`);
};
(async () => {
  spawn('bash', [start], { stdio: 'ignore', detached: true }).unref();
  for (let isUp = false; !isUp; ) {
    const client = new Client({ connectionString: url });
    client.on('error', () => {});
    isUp = await client.connect().then(() => true, () => false);
    await client.end().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await follow('Redis', { host: '127.0.0.1', port: Number(redisPort) });
  await follow('PostgreSQL', { connectionString: url, migrate: true }, createPostgresBackend);
  process.exit(0);
})();
JS
seen=$(timeout 60 node program.cjs "$port" "$folder/start" "$redis_port")
expected='Redis: no event is missing
PostgreSQL: events are missing'
echo "bullmq 6.7.0, pg 8.23.1:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

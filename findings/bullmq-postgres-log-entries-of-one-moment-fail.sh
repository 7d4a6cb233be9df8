#!/usr/bin/env bash
# bullmq 6.7.0 with pg 8.23.1: entries that are added to the log of a job at the same time fail on PostgreSQL.
#
# Expected: as on Redis, where each entry of a handler that logs from several places at once is kept.
# Seen:     of 20 calls of `job.log()` under way together, some are rejected with a violation of a unique key, and their
#           entries are missing.
# Why it matters: a handler that logs in parallel parts fails, or loses entries, depending on the moment.
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
const { createPostgresBackend, Queue } = require('bullmq');
const { Client } = require('pg');
const [, , port, start, redisPort] = process.argv;
const url = `postgres://finder@127.0.0.1:${port}/postgres`;
const log = async (store, connection, backend) => {
  const queue = new Queue('mail', { connection }, backend);
  const job = await queue.add('letter', {});
  const calls = Array.from({ length: 20 }, (_, n) => job.log(`entry ${n}`));
  const failed = (await Promise.allSettled(calls)).filter(({ status }) => status === 'rejected');
  const codes = new Set(failed.map(({ reason }) => reason.code));
  const { count } = await queue.getJobLogs(job.id);
  const kept = count + failed.length === 20 ? 'the others are kept' : 'others are missing too';
  console.log(`${store}: ${failed.length === 0 ? 'none' : `some, with the code ${[...codes]},`} failed, ${kept}`);
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
  await log('Redis', { host: '127.0.0.1', port: Number(redisPort) });
  await log('PostgreSQL', { connectionString: url, migrate: true }, createPostgresBackend);
  process.exit(0);
})();
JS
seen=$(timeout 60 node program.cjs "$port" "$folder/start" "$redis_port")
expected='Redis: none failed, the others are kept
PostgreSQL: some, with the code 23505, failed, the others are kept'
echo "bullmq 6.7.0, pg 8.23.1:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

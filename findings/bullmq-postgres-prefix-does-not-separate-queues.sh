#!/usr/bin/env bash
# bullmq 6.7.0 with pg 8.23.1: on PostgreSQL, queues of one name with different prefixes are one queue.
#
# Expected: as on Redis, where the option `prefix` separates programs that use queues of the same name on one server.
# Seen:     a job that is added with the prefix `staging` is counted, and taken by a worker, with the prefix `production`.
# Why it matters: programs that share a server by prefixes mix their jobs as soon as they move to PostgreSQL.
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
const { createPostgresBackend, Queue, Worker } = require('bullmq');
const { Client } = require('pg');
const [, , port, start, redisPort] = process.argv;
const url = `postgres://finder@127.0.0.1:${port}/postgres`;
const share = async (store, connection, backend) => {
  const staging = new Queue('mail', { connection, prefix: 'staging' }, backend);
  await staging.add('letter', { to: 'somebody' });
  const production = new Queue('mail', { connection, prefix: 'production' }, backend);
  const counted = await production.getJobCountByTypes('waiting');
  const worker = new Worker('mail', null, { connection, prefix: 'production', autorun: false }, backend);
  const taken = await worker.getNextJob('token', { block: false });
  console.log(`${store}: with the other prefix ${counted} jobs wait, and the worker takes ${taken?.name ?? 'none'}`);
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
  await share('Redis', { host: '127.0.0.1', port: Number(redisPort) });
  await share('PostgreSQL', { connectionString: url, migrate: true }, createPostgresBackend);
  process.exit(0);
})();
JS
seen=$(timeout 60 node program.cjs "$port" "$folder/start" "$redis_port")
expected='Redis: with the other prefix 0 jobs wait, and the worker takes none
PostgreSQL: with the other prefix 1 jobs wait, and the worker takes letter'
echo "bullmq 6.7.0, pg 8.23.1:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

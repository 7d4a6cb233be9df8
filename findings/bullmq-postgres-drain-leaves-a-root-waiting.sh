#!/usr/bin/env bash
# bullmq 6.7.0 with pg 8.23.1: a drain of a queue on PostgreSQL leaves the root of a flow waiting for ever.
#
# Expected: as on Redis, where a root in another queue is released when the jobs below it are drained.
# Seen:     of a flow with a leaf and a middle job in one queue and the root in another one, the drain of the first queue
#           removes the leaf and the middle job, and the root keeps waiting for a child that does not exist.
# Why it matters: nobody runs, fails or removes that root, and whoever waits for it waits until a time limit.
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
const { createPostgresBackend, FlowProducer, Queue } = require('bullmq');
const { Client } = require('pg');
const [, , port, start, redisPort] = process.argv;
const url = `postgres://finder@127.0.0.1:${port}/postgres`;
const drain = async (store, connection, backend) => {
  const [top, work] = ['top', 'work'].map((name) => new Queue(name, { connection }, backend));
  const flows = new FlowProducer({ connection }, backend);
  const leaf = { name: 'leaf', queueName: 'work' };
  const middle = { name: 'middle', queueName: 'work', children: [leaf] };
  const { job } = await flows.add({ name: 'root', queueName: 'top', children: [middle] });
  await work.drain();
  const left = await work.getJobCountByTypes('waiting', 'waiting-children');
  console.log(`${store}: ${left} jobs left in the drained queue, the root is ${await top.getJobState(job.id)}`);
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
  await drain('Redis', { host: '127.0.0.1', port: Number(redisPort) });
  await drain('PostgreSQL', { connectionString: url, migrate: true }, createPostgresBackend);
  process.exit(0);
})();
JS
seen=$(timeout 60 node program.cjs "$port" "$folder/start" "$redis_port")
expected='Redis: 0 jobs left in the drained queue, the root is waiting
PostgreSQL: 0 jobs left in the drained queue, the root is waiting-children'
echo "bullmq 6.7.0, pg 8.23.1:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

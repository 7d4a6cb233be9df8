#!/usr/bin/env bash
# bullmq 6.7.0 with pg 8.23.1: a queue that was used while PostgreSQL was away stays useless after PostgreSQL has started.
#
# Expected: as on Redis, a later command of the same queue reaches the server once it runs.
# Seen:     each later command is rejected with the error of the first connection, without another attempt to connect. A new
#           queue in the same process works.
# Why it matters: a program that starts together with its database, or a little earlier, sends and takes nothing until it
# is started again.
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
const { createPostgresBackend, Queue } = require('bullmq');
const { Client } = require('pg');
const [, , port, start] = process.argv;
const url = `postgres://finder@127.0.0.1:${port}/postgres`;
const connection = { connectionString: url, migrate: true };
const open = () => {
  const queue = new Queue('mails', { connection }, createPostgresBackend);
  queue.on('error', () => {});
  return queue;
};
const add = (queue) => queue.add('mail', {}).then(() => 'added', (error) => error.code);
(async () => {
  const queue = open();
  console.log('before the server runs: ' + (await add(queue)));
  spawn('bash', [start], { stdio: 'ignore', detached: true }).unref();
  for (let isUp = false; !isUp; ) {
    const client = new Client({ connectionString: url });
    client.on('error', () => {});
    isUp = await client.connect().then(() => true, () => false);
    await client.end().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  console.log('the same queue, now that it runs: ' + (await add(queue)));
  console.log('a new queue: ' + (await add(open())));
  process.exit(0);
})();
JS
seen=$(timeout 60 node program.cjs "$port" "$folder/start")
expected='before the server runs: ECONNREFUSED
the same queue, now that it runs: ECONNREFUSED
a new queue: added'
echo "bullmq 6.7.0, pg 8.23.1:"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed, expected:"; echo "$expected"; exit 1; }

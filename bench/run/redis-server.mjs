// A redis-server of a benchmark's own: empty, on a free port of this machine, stopped by its process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always'];
const VOLATILE = ['--appendonly', 'no'];

/**
 * Starts one. `process` is the server's, to be frozen; `stop` ends it and removes what it stored. A durable one writes
 * to disk before it answers.
 */
export async function startRedis({ durable = true } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'umbel-bench-redis-'));
  const port = await freePort();
  const options = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', directory];
  const kind = [...(durable ? DURABLE : VOLATILE), '--maxmemory-policy', 'noeviction'];
  const server = spawn('redis-server', [...options, ...kind], { stdio: 'ignore' });
  const end = () => server.kill('SIGKILL');
  process.once('exit', end);
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 50 });
  client.on('error', () => {}); // refused until the server listens
  await Promise.race([
    client.ping(),
    once(server, 'error').then(([error]) => {
      throw new Error('redis-server does not start: is it installed (apt-get install redis-server)?', {
        cause: error,
      });
    }),
  ]);
  const version = /redis_version:(\S+)/.exec(await client.info('server'))?.[1];
  client.disconnect();
  return {
    url: `redis://127.0.0.1:${port}`,
    version,
    process: server,
    async stop() {
      process.off('exit', end);
      const exited = once(server, 'exit');
      server.kill('SIGKILL');
      await exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

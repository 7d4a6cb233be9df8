/** A Redis server of a test's own, on a free port of this machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface RedisServer {
  readonly url: string;
  /** As by `kill -9`. What was acknowledged is there again after `restart`, if the server is durable. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** Stops it in its tracks, with its connections open, until `thaw`. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

export interface RedisOptions {
  /** Every write is on disk before it is acknowledged. */
  durable?: boolean;
  /** Further arguments of the program. */
  more?: readonly string[];
}

/** Starts `program`. */
export async function startRedis(
  program = 'redis-server',
  { durable = false, more = [] }: RedisOptions = {},
): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'umbel-redis-'));
  const port = await freePort();
  const log = durable ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no'];
  const options = [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    ...log,
    '--dir',
    directory,
    ...more,
  ];
  let server: ChildProcess;
  const start = async () => {
    server = spawn(program, options, { stdio: 'ignore' });
    try {
      await answering(port, server);
    } catch (error) {
      server.kill('SIGKILL');
      throw error;
    }
  };
  const end = (signal: NodeJS.Signals) => endProcess(server, signal);
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    kill: () => end('SIGKILL'),
    restart: start,
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    async stop() {
      server.kill('SIGCONT');
      await end('SIGTERM');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Sends a signal to a process that runs, and resolves when it has ended. */
export async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

/** A port of this machine that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Resolves once the server accepts connections. */
async function answering(port: number, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await accepts(port))) {
    if (server.exitCode !== null || Date.now() > deadline)
      throw new Error('The Redis of the test run did not start.');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

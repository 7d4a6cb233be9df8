/** A PostgreSQL server of a test's own, in a temporary folder, on a free port, as a user without rights. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, closeSync, existsSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { endProcess, freePort } from './redis-server.js';

export interface PostgresServer {
  readonly url: string;
  /** As by `kill -9` of all its processes. */
  kill(): Promise<void>;
  /** Ends every session and restarts, as an administrator does. */
  shutDown(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Settings of the server, such as `max_connections`. */
  settings?: Readonly<Record<string, string>>;
  /** Every commit is on disk before it is acknowledged. */
  durable?: boolean;
  /** File for the log of the server. Default: it is dropped. */
  log?: string;
}

/** The folder of the programs of a server: that of `UMBEL_POSTGRES`, or one of this machine; undefined if there is none. */
export function findPostgres(): string | undefined {
  const versions = '/usr/lib/postgresql';
  const installed = existsSync(versions)
    ? readdirSync(versions).map((name) => `${versions}/${name}/bin`)
    : [];
  const chosen = process.env.UMBEL_POSTGRES;
  if (chosen !== undefined) return chosen;
  const folders = [...(process.env.PATH ?? '').split(':'), ...installed.sort().reverse()];
  return folders.find((folder) =>
    ['initdb', 'postgres'].every((program) => existsSync(join(folder, program))),
  );
}

const IN_MEMORY = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

/** The server refuses to run as root. */
const NOBODY = 65_534;

export async function startPostgres(
  programs: string,
  { settings = {}, durable = false, log }: PostgresOptions = {},
): Promise<PostgresServer> {
  const isRoot = process.getuid?.() === 0;
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const folder = mkdtempSync(join(tmpdir(), 'umbel-postgres-'));
  if (isRoot) chownSync(folder, NOBODY, NOBODY);
  const data = join(folder, 'data');
  const env = { ...process.env, LC_ALL: 'C' };
  execFileSync(
    join(programs, 'initdb'),
    ['-D', data, '-U', 'umbel', '-A', 'trust', '-E', 'UTF8', '--no-sync'],
    { ...user, env, stdio: 'ignore', cwd: folder },
  );
  const port = await freePort();
  const options = Object.entries({
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    max_connections: '300',
    ...(durable ? {} : IN_MEMORY),
    ...settings,
  }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const output = log === undefined ? 'ignore' : openSync(log, 'a');
  let server: ChildProcess;
  const url = `postgres://umbel@127.0.0.1:${port}/postgres`;
  const start = async () => {
    server = spawn(join(programs, 'postgres'), ['-D', data, '-p', `${port}`, ...options], {
      ...user,
      env,
      stdio: ['ignore', output, output],
      cwd: folder,
    });
    await answering(url, server);
  };
  const end = (signal: NodeJS.Signals) => endProcess(server, signal);
  await start();
  return {
    url,
    start,
    shutDown: () => end('SIGINT'),
    async kill() {
      // The server's other processes end by themselves when the first one is gone; SIGQUIT does not write anything.
      await end('SIGQUIT');
      rmSync(join(data, 'postmaster.pid'), { force: true });
    },
    async stop() {
      await end('SIGINT');
      if (output !== 'ignore') closeSync(output);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves once the server runs a statement: one that recovers refuses them. */
async function answering(url: string, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {}); // the connection fails with it
    try {
      await client.connect();
      return;
    } catch (error) {
      if (server.exitCode !== null || Date.now() > deadline)
        throw new Error('The PostgreSQL of the test run did not start.', { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      await client.end().catch(() => {});
    }
  }
}

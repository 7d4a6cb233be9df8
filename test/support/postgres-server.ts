/** A PostgreSQL server of a test's own, in a temporary folder, on a free port, as a user without rights. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
}

/** The folder of the programs of a server; undefined if there is none on this machine. */
export function findPostgres(): string | undefined {
  const versions = '/usr/lib/postgresql';
  const installed = existsSync(versions)
    ? readdirSync(versions).map((name) => `${versions}/${name}/bin`)
    : [];
  const folders = [...(process.env.PATH ?? '').split(':'), ...installed.sort().reverse()];
  return folders.find((folder) =>
    ['initdb', 'postgres', 'pg_isready'].every((program) => existsSync(join(folder, program))),
  );
}

/** The server refuses to run as root. */
const NOBODY = 65_534;

export async function startPostgres(
  programs: string,
  { settings = {} }: PostgresOptions = {},
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
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '300',
    ...settings,
  }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  let server: ChildProcess;
  const url = `postgres://umbel@127.0.0.1:${port}/postgres`;
  const start = async () => {
    server = spawn(join(programs, 'postgres'), ['-D', data, '-p', `${port}`, ...options], {
      ...user,
      env,
      stdio: 'ignore',
      cwd: folder,
    });
    await answering(join(programs, 'pg_isready'), port, server);
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
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answering(program: string, port: number, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      execFileSync(program, ['-h', '127.0.0.1', '-p', `${port}`], { stdio: 'ignore' });
      return;
    } catch (error) {
      if (server.exitCode !== null || Date.now() > deadline)
        throw new Error('The PostgreSQL of the test run did not start.', { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/**
 * This module makes sure that one process at a time opens the folder of a database. PGlite does not check that, and two
 * processes destroy each other's data.
 *
 * A process announces itself by a file in the folder whose name identifies it, and then reads which other processes have
 * announced themselves. It owns the folder if there is no other one that lives. Of two that do so at once, the later one
 * sees the file of the earlier one, so never do both own it; if both see each other, both withdraw and try again. A file of
 * a process that has ended is removed. Its name belongs to no other process, so the file of a living one is never removed.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { StoreConfigurationError } from '../../../base/errors.js';
import { setTimeout } from '../../../base/real-timers.js';

export interface FolderLock {
  /** Lets other processes open the folder. */
  release(): void;
}

/** A process that has announced itself, from the name of its file. */
interface Holder {
  readonly file: string;
  readonly pid: number;
  readonly started: string;
  readonly host: string;
}

/** Number of attempts while another process has announced itself, which may withdraw. */
const ATTEMPTS = 5;
const PAUSE_MS = { least: 10, spread: 40 };

/**
 * Takes the lock of a folder.
 * @throws {StoreConfigurationError} if another process has it.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  for (let attempt = 1; ; attempt += 1) {
    const own = announce(folder);
    const other = holdersOf(folder).find((holder) => holder.file !== own && isAlive(folder, holder));
    const withdraw = () => rmSync(join(folder, own), { force: true });
    if (other === undefined) return { release: withdraw };
    withdraw();
    if (attempt === ATTEMPTS) throw inUse(folder, other);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS.least + Math.random() * PAUSE_MS.spread));
  }
}

const PREFIX = 'umbel-lock';
/** The prefix, the process and its start, random digits, and the host. */
const NAME = /^umbel-lock\.(\d+)\.([0-9a-f-]+)\.[0-9a-f]+\.(.*)$/;

/** The start of a process on a system that does not tell it. */
const UNKNOWN = '0';

/** Returns whether a file of the folder is one of this module. */
export function isLockFile(file: string): boolean {
  return NAME.test(file);
}

/** Creates the file of this process, and returns its name. */
function announce(folder: string): string {
  const started = startOf(process.pid) ?? UNKNOWN;
  const file = `${PREFIX}.${process.pid}.${started}.${randomBytes(6).toString('hex')}.${thisHost()}`;
  writeFileSync(join(folder, file), '', { flag: 'wx' });
  return file;
}

function holdersOf(folder: string): Holder[] {
  return readdirSync(folder).flatMap((file) => {
    const [, pid, started = '', host = ''] = NAME.exec(file) ?? [];
    return pid === undefined ? [] : [{ file, pid: Number(pid), started, host }];
  });
}

/** Returns whether the process lives, as far as this machine can know. Removes the file of one that has ended. */
function isAlive(folder: string, { file, pid, started, host }: Holder): boolean {
  if (host !== thisHost()) return true;
  if (isRunning(pid)) {
    const start = startOf(pid);
    // Another process may have got the same number since.
    if (start === undefined || started === UNKNOWN || start === started) return true;
  }
  rmSync(join(folder, file), { force: true });
  return false;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}

function thisHost(): string {
  return hostname().replaceAll(/[^\w.-]/g, '_');
}

/** Position of the start time among the fields after the name of the program. */
const START_FIELD = 19;

/** Returns when a process was started, since which boot; undefined where the system does not tell. */
function startOf(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8);
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_FIELD];
    return start === undefined ? undefined : `${boot}-${start}`;
  } catch {
    return undefined;
  }
}

function inUse(folder: string, { file, pid, host }: Holder): StoreConfigurationError {
  const shared =
    'Stop that process first. To use jobs from several processes at the same time, choose Redis or PostgreSQL as the store.';
  if (host === thisHost()) {
    const holder = pid === process.pid ? 'another thread or copy of Umbel in this process' : `process ${pid}`;
    return new StoreConfigurationError(
      `The folder "${folder}" is in use by ${holder}: a PGlite database takes one process at a time. ${shared}`,
    );
  }
  return new StoreConfigurationError(
    `The folder "${folder}" is in use by process ${pid} on host "${host}": a PGlite database takes one process at a time. ` +
      `${shared} If that process has ended, delete the file "${join(folder, file)}".`,
  );
}

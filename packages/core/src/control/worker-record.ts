/**
 * The record that each worker process writes to the store every few seconds, and the view of workers that `app.inspect`
 * makes of these records. Records are checked when they are read, because any program may write them. `Presence` keeps the
 * record of a worker:
 *
 * ```
 * new ─start─▶ announced ─begin─▶ beating ─stop─▶ gone
 * ```
 */

import { isUmbelError } from '../base/errors.js';
import { clearTimeout, setTimeout } from '../base/real-timers.js';
import { publishPresence, removeRecords, writeRecord } from '../store/control-queue.js';
import type { Store } from '../store/store.js';
import { countOf, isWorkerId, parsed, ratioOf, recordFields, textOf, timeOf } from './messages.js';

/** Concurrency and load of a queue in a worker. */
export interface ServedQueue {
  /** Current maximum of running jobs of the queue. */
  readonly concurrency: number;
  /** Running jobs of the queue. */
  readonly active: number;
}

/** The constant part of the record of a worker process. */
export interface WorkerIdentity {
  readonly id: string;
  readonly name: string;
  /** Index of the process, in a worker with several processes. */
  readonly process?: number;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
}

/** The stored record of a worker process. Times are milliseconds since 1970 by the clock of the store. */
export interface WorkerRecord extends WorkerIdentity {
  readonly startedAt: number;
  readonly seenAt: number;
  /** Interval of the heartbeat. */
  readonly heartbeatMs: number;
  /** How long a job is locked after its last lock renewal; absent for workers of an earlier version. */
  readonly lockDurationMs?: number;
  readonly isClosing: boolean;
  readonly queues: Readonly<Record<string, ServedQueue>>;
  /** Share of the last interval in which the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  /** Longest delay of the event loop in the last interval, in milliseconds; absent for workers of an earlier version. */
  readonly delayMs?: number;
  readonly rssBytes: number;
}

/** State of a worker process. `missing`: without a heartbeat for three heartbeat intervals. */
export type WorkerState = 'online' | 'closing' | 'missing';

/** One process of a worker. */
export interface WorkerProcess {
  readonly id: string;
  /** Index of the process from 0, in a worker with several processes. */
  readonly process?: number;
  readonly state: WorkerState;
  readonly host: string;
  readonly pid: number;
  /** Version of `@umbel/core`. */
  readonly version: string;
  readonly startedAt: Date;
  readonly uptimeMs: number;
  readonly lastSeenAt: Date;
  readonly queues: Readonly<Record<string, ServedQueue>>;
  readonly concurrency: number;
  readonly active: number;
  /** Share of the time between the last two heartbeats in which the event loop was busy, from 0 to 1. */
  readonly load: number;
  /**
   * Longest time between the last two heartbeats in which the event loop was blocked, in milliseconds, exact to about 100.
   * Absent for workers of an earlier version.
   */
  readonly loopDelayMs?: number;
  /** Resident memory of the process. */
  readonly rssBytes: number;
}

/**
 * The worker processes with one name: usually one, several for a worker with `processes` or for workers of equal names.
 * @example
 * for (const { name, state, active } of await app.inspect.workers()) console.log(name, state, active);
 */
export interface WorkerInfo {
  readonly name: string;
  /** `missing` if all processes are missing; `closing` if the others are closing. */
  readonly state: WorkerState;
  /** Start of the oldest process. */
  readonly startedAt: Date;
  readonly uptimeMs: number;
  /** Latest heartbeat of any process. */
  readonly lastSeenAt: Date;
  /** Sum over the processes that are not missing, like `concurrency` and `active`. */
  readonly queues: Readonly<Record<string, ServedQueue>>;
  readonly concurrency: number;
  readonly active: number;
  readonly processes: readonly WorkerProcess[];
}

const MAX_RECORD_BYTES = 1_048_576;
const MAX_RECORDS = 10_000;
/** Number of missed heartbeats after which a worker is missing. */
const MISSED_HEARTBEATS = 3;
/** How long a missing worker is shown. Its queues are known for a day. */
const SHOW_MISSING_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Parses the stored record of a worker process; undefined if it is invalid. */
export function readRecord(id: string, text: string): WorkerRecord | undefined {
  const fields = recordFields(parsed(text, MAX_RECORD_BYTES));
  const [name, host, version] = [textOf(fields.name), textOf(fields.host), textOf(fields.version, 50)];
  const [pid, heartbeatMs] = [countOf(fields.pid), countOf(fields.heartbeatMs)];
  const [startedAt, seenAt] = [timeOf(fields.startedAt), timeOf(fields.seenAt)];
  if (!isWorkerId(id) || !name || host === undefined || version === undefined) return undefined;
  if (pid === undefined || heartbeatMs === undefined || !startedAt || !seenAt) return undefined;
  const process = countOf(fields.process);
  const lockDurationMs = countOf(fields.lockDurationMs);
  const delayMs = countOf(fields.delayMs);
  return {
    id,
    name,
    ...(process !== undefined && { process }),
    host,
    pid,
    version,
    startedAt: startedAt.getTime(),
    seenAt: seenAt.getTime(),
    heartbeatMs: Math.min(heartbeatMs, DAY_MS),
    ...(lockDurationMs !== undefined && { lockDurationMs: Math.min(lockDurationMs, DAY_MS) }),
    isClosing: fields.isClosing === true,
    queues: readQueues(fields.queues),
    utilization: ratioOf(fields.utilization) ?? 0,
    ...(delayMs !== undefined && { delayMs }),
    rssBytes: countOf(fields.rssBytes) ?? 0,
  };
}

export function readQueues(value: unknown): Record<string, ServedQueue> {
  const entries = Object.entries(recordFields(value)).map(([queue, served]) => {
    const { concurrency, active } = recordFields(served);
    return [
      textOf(queue, 100) ?? '',
      { concurrency: countOf(concurrency) ?? 0, active: countOf(active) ?? 0 },
    ] as const;
  });
  return Object.fromEntries(entries);
}

/** Returns the valid records, sorted by name, and the ids of outdated or invalid ones. */
export function sortRecords(
  stored: ReadonlyMap<string, string>,
  now: number,
): { readonly records: readonly WorkerRecord[]; readonly outdated: readonly string[] } {
  const records: WorkerRecord[] = [];
  const outdated: string[] = [];
  for (const [id, text] of [...stored].slice(0, MAX_RECORDS)) {
    const record = readRecord(id, text);
    // A record from the far future was not written by a worker.
    if (record === undefined || Math.abs(now - record.seenAt) > DAY_MS) outdated.push(id);
    else records.push(record);
  }
  return { records: records.sort(byName), outdated };
}

export function workerStateOf({ isClosing, seenAt, heartbeatMs }: WorkerRecord, now: number): WorkerState {
  if (now - seenAt > MISSED_HEARTBEATS * heartbeatMs) return 'missing';
  return isClosing ? 'closing' : 'online';
}

/** Whether a worker is shown: a missing one is shown for an hour. */
export function isShown(record: WorkerRecord, now: number): boolean {
  return workerStateOf(record, now) !== 'missing' || now - record.seenAt <= SHOW_MISSING_MS;
}

/** Groups records by worker name. */
export function workersOf(records: readonly WorkerRecord[], now: number): WorkerInfo[] {
  const groups = new Map<string, WorkerRecord[]>();
  for (const record of records) groups.set(record.name, [...(groups.get(record.name) ?? []), record]);
  return [...groups].map(([name, group]) => workerOf(name, group, now));
}

function workerOf(name: string, records: readonly WorkerRecord[], now: number): WorkerInfo {
  const processes = records.map((record) => processOf(record, now));
  const present = processes.filter(({ state }) => state !== 'missing');
  const startedAt = Math.min(...records.map((record) => record.startedAt));
  const queues = new Map<string, ServedQueue>();
  for (const process of present) {
    for (const [queue, { concurrency, active }] of Object.entries(process.queues)) {
      const sum = queues.get(queue) ?? { concurrency: 0, active: 0 };
      queues.set(queue, { concurrency: sum.concurrency + concurrency, active: sum.active + active });
    }
  }
  return {
    name,
    state: present.find(({ state }) => state === 'online')?.state ?? present[0]?.state ?? 'missing',
    startedAt: new Date(startedAt),
    uptimeMs: Math.max(0, now - startedAt),
    lastSeenAt: new Date(Math.max(...records.map(({ seenAt }) => seenAt))),
    queues: Object.fromEntries(queues),
    ...totalOf([...queues.values()]),
    processes,
  };
}

function processOf(record: WorkerRecord, now: number): WorkerProcess {
  const { id, process, host, pid, version, startedAt, seenAt, queues, utilization, delayMs, rssBytes } =
    record;
  return {
    id,
    ...(process !== undefined && { process }),
    state: workerStateOf(record, now),
    host,
    pid,
    version,
    startedAt: new Date(startedAt),
    uptimeMs: Math.max(0, now - startedAt),
    lastSeenAt: new Date(seenAt),
    queues,
    ...totalOf(Object.values(queues)),
    load: utilization,
    ...(delayMs !== undefined && { loopDelayMs: delayMs }),
    rssBytes,
  };
}

function totalOf(queues: readonly ServedQueue[]): ServedQueue {
  const sum = (key: keyof ServedQueue) => queues.reduce((total, queue) => total + queue[key], 0);
  return { concurrency: sum('concurrency'), active: sum('active') };
}

/**
 * Returns a label for each process: the name of its worker. If several processes have that name, the label is `name#0`
 * with the index of the process, or `name#1f3a09bc` with the beginning of its id.
 */
export function workerLabels(records: readonly WorkerRecord[]): ReadonlyMap<string, string> {
  const uses = new Map<string, number>();
  const count = (key: string) => uses.set(key, (uses.get(key) ?? 0) + 1);
  for (const { name, process } of records) {
    count(name);
    if (process !== undefined) count(`${name}#${process}`);
  }
  return new Map(
    records.map(({ id, name, process }) => {
      const numbered = `${name}#${process}`;
      if (process !== undefined && uses.get(numbered) === 1) return [id, numbered];
      return [id, uses.get(name) === 1 ? name : `${name}#${id.slice(0, 8)}`];
    }),
  );
}

/** Returns the records that match names, ids or labels, and those of the names that match none. */
export function matchWorkers(
  records: readonly WorkerRecord[],
  workers: readonly string[],
): { readonly matched: readonly WorkerRecord[]; readonly unknown: readonly string[] } {
  const labels = workerLabels(records);
  const isMatch = (worker: string, { id, name }: WorkerRecord) =>
    worker === id || worker === name || worker === labels.get(id);
  return {
    matched: records.filter((record) => workers.some((worker) => isMatch(worker, record))),
    unknown: workers.filter((worker) => !records.some((record) => isMatch(worker, record))),
  };
}

/** Sorts by name, then by process index, then by age. */
function byName(a: WorkerRecord, b: WorkerRecord): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return (a.process ?? 0) - (b.process ?? 0) || a.startedAt - b.startedAt;
}

// The presence of a worker: its record while it runs, and events of its start and its end.

export interface PresenceOptions {
  readonly store: Store;
  readonly identity: WorkerIdentity;
  readonly heartbeatMs: number;
  /** Returns the variable part of the record. */
  readonly record: () => Omit<WorkerRecord, keyof WorkerIdentity>;
  readonly onError: (error: Error) => void;
}

/** Longest delay of a closing worker by an unreachable store. */
const GOODBYE_MS = 2000;
const MAX_WRITE_MS = 5000;

export class Presence {
  readonly #options: PresenceOptions;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> | undefined;
  #announcing: Promise<void> | undefined;
  #isAnnounced = false;
  #isStopped = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Announces the worker. Returns the stream position from which it must read control messages. */
  async announce(): Promise<string> {
    const announcing = publishPresence(this.#options.store, 'worker-online', this.#identity());
    this.#announcing = announcing.then(
      () => {
        this.#isAnnounced = true;
      },
      () => {}, // the caller receives the error
    );
    return announcing;
  }

  /** Starts the heartbeat. Resolves when the record is written, or the write failed. */
  async begin(): Promise<void> {
    if (this.#isStopped) return;
    await this.beat();
    this.#schedule();
  }

  /** Writes the current record. */
  beat(): Promise<void> {
    const last = this.#beating ?? Promise.resolve();
    const beating = last.then(() => this.#write());
    this.#beating = beating;
    return beating;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#beating;
    // An announced start must be followed by an announced end.
    if (this.#announcing !== undefined) await within(GOODBYE_MS, this.#announcing);
    if (!this.#isAnnounced) return;
    const { store, identity } = this.#options;
    try {
      await removeRecords(store, [identity.id], GOODBYE_MS);
      await publishPresence(store, 'worker-offline', this.#identity(), GOODBYE_MS);
    } catch (error) {
      this.#report(error);
    }
  }

  async #write(): Promise<void> {
    if (this.#isStopped) return;
    const { store, identity, record, heartbeatMs } = this.#options;
    const { id, ...others } = identity;
    const text = JSON.stringify({ ...others, ...record() });
    try {
      await writeRecord(store, id, text, Math.min(heartbeatMs, MAX_WRITE_MS));
    } catch (error) {
      this.#report(error);
    }
  }

  #schedule(): void {
    if (this.#isStopped) return;
    // Jitter: workers that start together must not write at the same time.
    const waitMs = this.#options.heartbeatMs * (0.9 + Math.random() / 5);
    this.#timer = setTimeout(() => void this.beat().then(() => this.#schedule()), waitMs);
    this.#timer.unref();
  }

  /** Ignores outages: the connection logs them, and the next heartbeat writes again. */
  #report(error: unknown): void {
    if (!isUmbelError(error, 'CONNECTION') && !isUmbelError(error, 'CLOSED')) {
      this.#options.onError(error as Error); // BullMQ and Redis throw only errors
    }
  }

  #identity(): string {
    const { id, name, host, pid } = this.#options.identity;
    return JSON.stringify({ id, name, host, pid });
  }
}

/** Waits for a promise, `ms` at most. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const isOver = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, isOver]);
  clearTimeout(timer);
}

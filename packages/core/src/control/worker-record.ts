/** What a worker tells of itself, every few seconds, and what is made of it by those who look. */
import { countOf, isWorkerId, parsed, ratioOf, recordFields, textOf, timeOf } from './messages.js';

/** A queue that a worker serves. */
export interface ServedQueue {
  /** Jobs of the queue that it runs at the same time, at present. */
  readonly concurrency: number;
  /** Jobs of the queue that it runs. */
  readonly active: number;
}

/** What stays the same of one process of a worker. */
export interface WorkerIdentity {
  readonly id: string;
  readonly name: string;
  /** Of a worker that is made of several processes: which of them. */
  readonly process?: number;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
}

/** What is stored of one process of a worker, times in milliseconds since 1970 by the clock of the store. */
export interface WorkerRecord extends WorkerIdentity {
  readonly startedAt: number;
  readonly seenAt: number;
  /** How often it tells. */
  readonly heartbeatMs: number;
  /** For how long a job stays its own after it was heard of last; absent if the worker is of an earlier version. */
  readonly lockDurationMs?: number;
  readonly isClosing: boolean;
  readonly queues: Readonly<Record<string, ServedQueue>>;
  /** How much of the last interval the event loop was busy. */
  readonly utilization: number;
  readonly rssBytes: number;
}

/** `missing`: it has not been heard of for three times as long as it lets pass between two signs of life. */
export type WorkerState = 'online' | 'closing' | 'missing';

/** One process that takes jobs. */
export interface WorkerProcess {
  readonly id: string;
  /** Of a worker that is made of several processes: which of them, counted from 0. */
  readonly process?: number;
  readonly state: WorkerState;
  readonly host: string;
  readonly pid: number;
  /** Of `@umbel/core`. */
  readonly version: string;
  readonly startedAt: Date;
  readonly uptimeMs: number;
  readonly lastSeenAt: Date;
  readonly queues: Readonly<Record<string, ServedQueue>>;
  readonly concurrency: number;
  readonly active: number;
  /** How much of the time between its last two signs of life its event loop was busy, from 0 to 1. */
  readonly load: number;
  /** Resident memory. */
  readonly rssBytes: number;
}

/** A worker by its name: usually one process; several, if it is made of several or others have the same name. */
export interface WorkerInfo {
  readonly name: string;
  /** `missing` if all its processes are, `closing` if those that are not do. */
  readonly state: WorkerState;
  /** Of the process that has been up longest; also the two that follow. */
  readonly startedAt: Date;
  readonly uptimeMs: number;
  /** The latest sign of life of any of its processes. */
  readonly lastSeenAt: Date;
  /** Over all processes that are not missing; and so are the next two. */
  readonly queues: Readonly<Record<string, ServedQueue>>;
  readonly concurrency: number;
  readonly active: number;
  readonly processes: readonly WorkerProcess[];
}

const MAX_RECORD_BYTES = 1_048_576;
const MAX_RECORDS = 10_000;
/** Missed signs of life after which a worker is missing. */
const MISSED = 3;
/** How long a worker is told of that was not closed and is not heard of. Its queues are known for a day. */
const MISSING_FOR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** What is stored of a worker; undefined if it cannot be read. */
export function readRecord(id: string, text: string): WorkerRecord | undefined {
  const fields = recordFields(parsed(text, MAX_RECORD_BYTES));
  const [name, host, version] = [textOf(fields.name), textOf(fields.host), textOf(fields.version, 50)];
  const [pid, heartbeatMs] = [countOf(fields.pid), countOf(fields.heartbeatMs)];
  const [startedAt, seenAt] = [timeOf(fields.startedAt), timeOf(fields.seenAt)];
  if (!isWorkerId(id) || !name || host === undefined || version === undefined) return undefined;
  if (pid === undefined || heartbeatMs === undefined || !startedAt || !seenAt) return undefined;
  const process = countOf(fields.process);
  const lockDurationMs = countOf(fields.lockDurationMs);
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

/** The records that can be read, and the ids of those that nobody needs any more. */
export function sortRecords(
  stored: ReadonlyMap<string, string>,
  now: number,
): { readonly records: readonly WorkerRecord[]; readonly outdated: readonly string[] } {
  const records: WorkerRecord[] = [];
  const outdated: string[] = [];
  for (const [id, text] of [...stored].slice(0, MAX_RECORDS)) {
    const record = readRecord(id, text);
    // Who writes that it was seen tomorrow is no worker.
    if (record === undefined || Math.abs(now - record.seenAt) > DAY_MS) outdated.push(id);
    else records.push(record);
  }
  return { records: records.sort(byName), outdated };
}

export function workerStateOf({ isClosing, seenAt, heartbeatMs }: WorkerRecord, now: number): WorkerState {
  if (now - seenAt > MISSED * heartbeatMs) return 'missing';
  return isClosing ? 'closing' : 'online';
}

/** Whether a worker is still told of: one that is missing is for an hour. */
export function isTold(record: WorkerRecord, now: number): boolean {
  return workerStateOf(record, now) !== 'missing' || now - record.seenAt <= MISSING_FOR_MS;
}

/** Workers by name. */
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
  for (const { queues: own } of present) {
    for (const [queue, { concurrency, active }] of Object.entries(own)) {
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
  const { id, process, host, pid, version, startedAt, seenAt, queues, utilization, rssBytes } = record;
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
    rssBytes,
  };
}

function totalOf(queues: readonly ServedQueue[]): ServedQueue {
  const sum = (key: keyof ServedQueue) => queues.reduce((total, queue) => total + queue[key], 0);
  return { concurrency: sum('concurrency'), active: sum('active') };
}

/**
 * What each process is called where there is an answer of each: the name of its worker; where several processes have
 * that name, `name#0` by their number, else `name#1f3a09bc` by the beginning of their id.
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

/** The processes that are meant by names, ids or labels, and what of those means none. */
export function named(
  records: readonly WorkerRecord[],
  workers: readonly string[],
): { readonly meant: readonly WorkerRecord[]; readonly unknown: readonly string[] } {
  const labels = workerLabels(records);
  const means = (worker: string, { id, name }: WorkerRecord) =>
    worker === id || worker === name || worker === labels.get(id);
  return {
    meant: records.filter((record) => workers.some((worker) => means(worker, record))),
    unknown: workers.filter((worker) => !records.some((record) => means(worker, record))),
  };
}

/** In the order in which people look for them. */
function byName(a: WorkerRecord, b: WorkerRecord): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return (a.process ?? 0) - (b.process ?? 0) || a.startedAt - b.startedAt;
}

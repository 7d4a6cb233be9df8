import type { AttemptOutcome } from '../job/job.js';
/** What workers answer, and how it is read: anybody may have written it. */
import type { ConnectionFacts } from '../store/connection.js';
import type { RepairCounts } from '../store/repair.js';
import type { JsonSchema, RegisteredTask } from './inspect.js';
import { countOf, type Fields, listOf, ratioOf, recordFields, textOf, timeOf } from './messages.js';
import { readQueues, type ServedQueue } from './worker-record.js';

/** What a worker has done, and how it fares. */
export interface WorkerStats {
  readonly host: string;
  readonly pid: number;
  /** Of `@umbel/core`, and of Node. */
  readonly version: string;
  readonly node: string;
  readonly startedAt: Date;
  readonly uptimeMs: number;
  /** Attempts that have ended since it was started, by how. */
  readonly counts: AttemptCounts;
  /** Attempts that run. */
  readonly active: number;
  readonly queues: Readonly<Record<string, ServedQueue>>;
  /** What it has repaired. */
  readonly repairs: RepairCounts;
  /** How much of the time since its last sign of life its event loop was busy, from 0 to 1. */
  readonly load: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
}

/** The settings of a worker and its app. Null: none, or no limit. */
export interface WorkerConf {
  readonly app: string;
  readonly prefix: string;
  readonly connection: ConnectionFacts;
  /** Names of the codecs that values go through. */
  readonly codecs: readonly string[];
  readonly resultTtlMs: number | null;
  readonly failureTtlMs: number | null;
  readonly sendTimeoutMs: number | null;
  readonly lockDurationMs: number | null;
  readonly shutdownTimeoutMs: number | null;
  readonly heartbeatMs: number | null;
  readonly repairIntervalMs: number | null;
  readonly maxJobs: number | null;
  readonly maxMemoryBytes: number | null;
  readonly maxLostStarts: number | null;
  /** The port that answers probes. */
  readonly healthPort: number | null;
  readonly handlesSignals: boolean;
  readonly allowsEviction: boolean;
  /** Whether it handles jobs of other programs. */
  readonly handlesForeignJobs: boolean;
}

/** What a worker serves once it has obeyed. */
export interface ControlResult {
  readonly queues: Readonly<Record<string, ServedQueue>>;
}

/** Of a worker that shuts down. */
export interface ShuttingDown {
  /** Attempts that it waits for. */
  readonly active: number;
}

/** More are not told: the oldest are the ones that matter. */
const MAX_ACTIVE = 2000;
const MAX_TASKS = 10_000;

/** A time as it is written. */
export type Written<T> = { readonly [Key in keyof T]: T[Key] extends Date ? number : T[Key] };

export function writtenAttempts(active: readonly ActiveAttempt[]): Written<ActiveAttempt>[] {
  return active
    .slice(0, MAX_ACTIVE)
    .map((attempt) => ({ ...attempt, startedAt: attempt.startedAt.getTime() }));
}

export function readAttempts(value: unknown): readonly ActiveAttempt[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.slice(0, MAX_ACTIVE).flatMap((item: unknown) => {
    const { id, task, queue, runId, attempt, startedAt } = recordFields(item);
    const time = timeOf(startedAt);
    const run = textOf(runId);
    if (time === undefined) return [];
    return [
      {
        id: textOf(id) ?? '',
        task: textOf(task) ?? '',
        queue: textOf(queue) ?? '',
        ...(run !== undefined && { runId: run }),
        attempt: countOf(attempt) ?? 1,
        startedAt: time,
      },
    ];
  });
}

export function readStats(value: unknown): WorkerStats | undefined {
  const fields = recordFields(value);
  const startedAt = timeOf(fields.startedAt);
  if (startedAt === undefined) return undefined;
  const counts = recordFields(fields.counts);
  const repairs = recordFields(fields.repairs);
  return {
    host: textOf(fields.host) ?? '',
    pid: countOf(fields.pid) ?? 0,
    version: textOf(fields.version) ?? '',
    node: textOf(fields.node) ?? '',
    startedAt,
    uptimeMs: countOf(fields.uptimeMs) ?? 0,
    counts: numbers(counts, ['completed', 'failed', 'retried', 'waiting', 'returned', 'lost']),
    active: countOf(fields.active) ?? 0,
    queues: readQueues(fields.queues),
    repairs: numbers(repairs, ['checked', 'started', 'lost', 'ended']),
    load: ratioOf(fields.load) ?? 0,
    rssBytes: countOf(fields.rssBytes) ?? 0,
    heapUsedBytes: countOf(fields.heapUsedBytes) ?? 0,
  };
}

export function readTasks(value: unknown): readonly RegisteredTask[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.slice(0, MAX_TASKS).map((item: unknown) => {
    const fields = recordFields(item);
    return {
      name: textOf(fields.name) ?? '',
      queue: textOf(fields.queue) ?? '',
      input: schemaOf(fields.input),
      output: schemaOf(fields.output),
      attempts: countOf(fields.attempts) ?? 1,
      timeoutMs: countOf(fields.timeoutMs) ?? null,
      expiresMs: countOf(fields.expiresMs) ?? null,
      priority: countOf(fields.priority) ?? 0,
      isIsolated: fields.isIsolated === true,
      states: texts(fields.states),
      failures: texts(fields.failures),
    };
  });
}

export function readConf(value: unknown): WorkerConf | undefined {
  const fields = recordFields(value);
  const [app, prefix] = [textOf(fields.app), textOf(fields.prefix)];
  if (app === undefined || prefix === undefined) return undefined;
  const connection = recordFields(fields.connection);
  const limit = (key: string) => countOf(fields[key]) ?? null;
  return {
    app,
    prefix,
    connection: {
      kind: connection.kind === 'redis' || connection.kind === 'cluster' ? connection.kind : 'other',
      addresses: texts(connection.addresses),
      database: countOf(connection.database) ?? 0,
      isEncrypted: connection.isEncrypted === true,
    },
    codecs: texts(fields.codecs),
    resultTtlMs: limit('resultTtlMs'),
    failureTtlMs: limit('failureTtlMs'),
    sendTimeoutMs: limit('sendTimeoutMs'),
    lockDurationMs: limit('lockDurationMs'),
    shutdownTimeoutMs: limit('shutdownTimeoutMs'),
    heartbeatMs: limit('heartbeatMs'),
    repairIntervalMs: limit('repairIntervalMs'),
    maxJobs: limit('maxJobs'),
    maxMemoryBytes: limit('maxMemoryBytes'),
    maxLostStarts: limit('maxLostStarts'),
    healthPort: limit('healthPort'),
    handlesSignals: fields.handlesSignals === true,
    allowsEviction: fields.allowsEviction === true,
    handlesForeignJobs: fields.handlesForeignJobs === true,
  };
}

export function readControlResult(value: unknown): ControlResult {
  return { queues: readQueues(recordFields(value).queues) };
}

export function readShuttingDown(value: unknown): ShuttingDown {
  return { active: countOf(recordFields(value).active) ?? 0 };
}

function numbers<const Key extends string>(fields: Fields, keys: readonly Key[]): Record<Key, number> {
  return Object.fromEntries(keys.map((key) => [key, countOf(fields[key]) ?? 0])) as Record<Key, number>; // of these keys
}

function texts(value: unknown): string[] {
  return listOf(value).flatMap((item) => textOf(item) ?? []);
}

function schemaOf(value: unknown): JsonSchema | null {
  return recordFields(value) === value ? recordFields(value) : null;
}

/** An attempt that runs. */
export interface ActiveAttempt {
  /** Of its job. */
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  /** The composition that it is a step of. */
  readonly runId?: string;
  /** Counted from 1. */
  readonly attempt: number;
  readonly startedAt: Date;
  /**
   * How long the job had waited for a worker, in milliseconds, since it was sent and its delay was over. Only of first
   * attempts at jobs that waited for no others: when a step or a retry was ready is not stored.
   */
  readonly waitedMs?: number;
}

/** How an attempt has ended: `returned` ones go back to their queue uncharged, of `lost` ones another worker's counts. */
export type AttemptEnd = Exclude<AttemptOutcome['kind'], 'retry'> | 'retried';

/** Attempts since the worker was started, by how they ended. */
export type AttemptCounts = Readonly<Record<AttemptEnd, number>>;

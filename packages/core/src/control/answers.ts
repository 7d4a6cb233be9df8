/** The answers of workers to `app.inspect` and `app.control`, with their checks: any program may have written them. */

import type { JsonSchema } from '../codec/json-schema.js';
import type { AttemptOutcome } from '../job/job.js';
import { CONNECTION_KINDS, type ConnectionFacts } from '../store/engine/engine.js';
import type { RepairCounts } from '../store/repair.js';
import type { RegisteredTask } from './inspect.js';
import { countOf, type Fields, listOf, ratioOf, recordFields, textOf, timeOf } from './messages.js';
import { readQueues, type ServedQueue } from './worker-record.js';

/** Statistics of a worker process. */
export interface WorkerStats {
  readonly host: string;
  readonly pid: number;
  /** Version of `@umbel/core`. */
  readonly version: string;
  /** Version of Node.js. */
  readonly node: string;
  readonly startedAt: Date;
  readonly uptimeMs: number;
  /** Number of attempts that have ended since the start, by outcome. */
  readonly counts: AttemptCounts;
  /** Number of running attempts. */
  readonly active: number;
  readonly queues: Readonly<Record<string, ServedQueue>>;
  /** Number of repairs since the start. */
  readonly repairs: RepairCounts;
  /** Share of the time since the last heartbeat in which the event loop was busy, from 0 to 1. */
  readonly load: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
}

/** Settings of a worker and its app. Null: not set, or no limit. */
export interface WorkerConf {
  readonly app: string;
  readonly prefix: string;
  readonly connection: ConnectionFacts;
  /** Names of the codecs, in order of encoding. */
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
  /** Port of the health server. */
  readonly healthPort: number | null;
  readonly handlesSignals: boolean;
  readonly allowsEviction: boolean;
  /** Whether the worker handles jobs of other programs (`onForeignJob`). */
  readonly handlesForeignJobs: boolean;
}

/** Queues that a worker serves after a change. */
export interface ControlResult {
  readonly queues: Readonly<Record<string, ServedQueue>>;
}

/** Answer of a worker that shuts down. */
export interface ShuttingDown {
  /** Number of attempts that it waits for. */
  readonly active: number;
}

/** Maximum number of attempts in an answer: the oldest ones matter most. */
const MAX_ACTIVE = 2000;
const MAX_TASKS = 10_000;

/** The JSON form of an answer: dates are milliseconds since 1970. */
export type Written<T> = { readonly [Key in keyof T]: T[Key] extends Date ? number : T[Key] };

export function writeAttempts(active: readonly ActiveAttempt[]): Written<ActiveAttempt>[] {
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
      kind: CONNECTION_KINDS.find((kind) => kind === connection.kind) ?? 'other',
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
  return Object.fromEntries(keys.map((key) => [key, countOf(fields[key]) ?? 0])) as Record<Key, number>; // it has these keys
}

function texts(value: unknown): string[] {
  return listOf(value).flatMap((item) => textOf(item) ?? []);
}

function schemaOf(value: unknown): JsonSchema | null {
  return recordFields(value) === value ? recordFields(value) : null;
}

/** A running attempt. */
export interface ActiveAttempt {
  /** Id of the job. */
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  /** Id of the workflow run that the job is a step of. */
  readonly runId?: string;
  /** Counted from 1. */
  readonly attempt: number;
  readonly startedAt: Date;
  /**
   * Time in milliseconds that the job waited for a worker after it was sent and its delay was over. Only for first attempts
   * at jobs without earlier steps: the time at which a step or a retry was ready is not stored.
   */
  readonly waitedMs?: number;
}

/** Outcome of an attempt. `returned`: back in its queue without using up an attempt. `lost`: another worker decides. */
export type AttemptEnd = Exclude<AttemptOutcome['kind'], 'retry'> | 'retried';

/** Number of attempts since the start of the worker, by outcome. */
export type AttemptCounts = Readonly<Record<AttemptEnd, number>>;

/** `app.inspect`: questions about the workers and queues of an app, from any process. */

import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import { type JsonSchema, jsonSchemaOf } from '../codec/json-schema.js';
import { appsIn, type FoundApps } from '../store/app-names.js';
import {
  delayedJobs,
  nextJobs,
  oldestWaitingAt,
  type QueueCounts,
  queueCounts,
  queueSettings,
  rateLimitTtlOf,
  type WaitingJob,
} from '../store/queues.js';
import type { Store } from '../store/store.js';
import type { TaskEntry } from '../task/definition.js';
import {
  type ActiveAttempt,
  readAttempts,
  readConf,
  readStats,
  readTasks,
  type WorkerConf,
  type WorkerStats,
} from './answers.js';
import type { Answers, AskOptions, WorkerQuery } from './ask.js';
import { type WorkerInfo, type WorkerRecord, workerStateOf, workersOf } from './worker-record.js';

/** Answer to a ping. */
export interface Pong {
  /** Time from the question to the answer in milliseconds. */
  readonly roundTripMs: number;
}

/** State and settings of a queue. */
export interface QueueInfo {
  readonly name: string;
  readonly counts: QueueCounts;
  readonly isPaused: boolean;
  /** Maximum of running jobs over all workers; null: no limit beyond those of the workers. */
  readonly concurrency: number | null;
  /** Maximum of starts in a time over all workers; null: no limit. */
  readonly rateLimit: { readonly max: number; readonly durationMs: number } | null;
  /** How long the oldest waiting job is ready to start; null if none waits. With priorities an estimate. */
  readonly oldestWaitingMs: number | null;
  /** Time until the rate limit allows the next start; null if it allows one now. */
  readonly limitedMs: number | null;
  /** Jobs held by missing workers; null if there are none. They count towards `concurrency`. */
  readonly lost: LostJobs | null;
  /** Names of the workers that serve the queue, without missing ones. */
  readonly workers: readonly string[];
}

/** Jobs of a queue that missing workers hold. */
export interface LostJobs {
  /** Number of jobs: at most those that the workers ran at their last heartbeat. */
  readonly jobs: number;
  /** Names of these workers. */
  readonly workers: readonly string[];
  readonly lastSeenAt: Date;
  /** When another worker returns the jobs to the queue at the latest; null if no worker can, or if unknown. */
  readonly freeAt: Date | null;
}

/** A delayed job. */
export interface ScheduledJob {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  /** Id of the workflow run that the job is a step of. */
  readonly runId?: string;
  /** Number of the next attempt, from 1. */
  readonly attempt: number;
  readonly enqueuedAt: Date;
  /**
   * The earliest start. For a retry it counts from the start of the last attempt, because the store does not record its
   * end: the retry starts later by the duration of that attempt.
   */
  readonly dueAt: Date;
  /** Why the stored job cannot be read. Its other fields are then unknown and its times are 1970. Absent if it can. */
  readonly problem?: string;
}

/** A waiting job that a worker takes soon. */
export type ReservedJob = Omit<ScheduledJob, 'dueAt'>;

/** Selects jobs that have not started. */
export interface JobsQuery {
  /** Default: every queue of the app. */
  queue?: string | undefined;
  /** At most 1,000. Default 100. */
  limit?: number | undefined;
}

/**
 * Inspects the workers and queues of an app, from any process. Data of the store is available without workers. Other data
 * comes from the workers: each answers for itself within the timeout.
 * @example
 * for (const { name, counts } of await app.inspect.queues()) console.log(name, counts.waiting);
 */
export interface Inspect {
  /** Returns every worker that was not closed. A killed one is `missing`, and omitted an hour after its last heartbeat. */
  workers(): Promise<WorkerInfo[]>;
  /** Returns every queue of the app, including queues that no worker serves and queues that only workers know. */
  queues(): Promise<QueueInfo[]>;
  /**
   * Returns the apps that have keys in the store, by a bounded scan of the keys. Apps with a custom `prefix` are not
   * found.
   */
  apps(): Promise<FoundApps>;
  /** Returns delayed jobs, the earliest first. */
  scheduled(query?: JobsQuery): Promise<ScheduledJob[]>;
  /**
   * Returns the jobs that workers take next, in that order, up to `limit` of each queue. Workers prefetch no jobs: a
   * worker takes a job only when it can run it.
   */
  reserved(query?: JobsQuery): Promise<ReservedJob[]>;
  /** Asks which workers answer. */
  ping(options?: AskOptions): Promise<Answers<Pong>>;
  /** Returns the running attempts, oldest first, up to 2,000 of each worker. */
  active(options?: AskOptions): Promise<Answers<readonly ActiveAttempt[]>>;
  /** Returns the statistics of each worker. */
  stats(options?: AskOptions): Promise<Answers<WorkerStats>>;
  /**
   * Returns the tasks that each worker has a handler for, with the JSON Schemas of inputs and results if the schema library
   * provides them (Standard JSON Schema: zod, arktype), without defaults and examples.
   */
  registered(options?: AskOptions): Promise<Answers<readonly RegisteredTask[]>>;
  /** Returns the settings of each worker, without passwords, keys and headers. */
  conf(options?: AskOptions): Promise<Answers<WorkerConf>>;
}

export interface InspectDependencies {
  readonly workerQuery: WorkerQuery;
  readonly store: Store;
  /** Returns the queues of the app and of its workers. */
  readonly queues: () => Promise<readonly string[]>;
  /** @throws {UnknownQueueError} if neither the app nor a worker knows the queue. */
  readonly checkQueue: (queue: string) => Promise<unknown>;
}

const JOBS_QUERY: OptionNames<JobsQuery> = { queue: true, limit: true };
const LIMIT = { default: 100, max: 1000 };

/** @param dependencies Returns those of the app, or of its test override, at the time of a call. */
export function inspectOf(dependencies: () => InspectDependencies): Inspect {
  return {
    async workers() {
      const { workerQuery } = dependencies();
      return workersOf(await workerQuery.records(), workerQuery.now);
    },
    async queues() {
      const { workerQuery, store, queues } = dependencies();
      const [records, names] = await Promise.all([workerQuery.records(), queues()]);
      return Promise.all([...names].sort().map((name) => queueInfo(store, name, records, workerQuery.now)));
    },
    apps: () => appsIn(dependencies().store),
    async scheduled(query) {
      const { store } = dependencies();
      const { queues, limit } = await jobsQuery(dependencies(), query);
      const jobs = await Promise.all(queues.map((queue) => delayedJobs(store, queue, limit)));
      const sorted = jobs.flat().sort((a, b) => a.dueAt - b.dueAt);
      return sorted.slice(0, limit).map((job) => ({ ...formatJob(job), dueAt: new Date(job.dueAt) }));
    },
    async reserved(query) {
      const { store } = dependencies();
      const { queues, limit } = await jobsQuery(dependencies(), query);
      const jobs = await Promise.all(queues.map((queue) => nextJobs(store, queue, limit)));
      return jobs.flat().map(formatJob);
    },
    ping: (options) =>
      dependencies().workerQuery.ask('ping', {}, (_, afterMs) => ({ roundTripMs: afterMs }), options),
    active: (options) => dependencies().workerQuery.ask('active', {}, readAttempts, options),
    stats: (options) => dependencies().workerQuery.ask('stats', {}, readStats, options),
    registered: (options) => dependencies().workerQuery.ask('registered', {}, readTasks, options),
    conf: (options) => dependencies().workerQuery.ask('conf', {}, readConf, options),
  };
}

/** Returns the state and settings of a queue. `records`: those of the workers. */
export async function queueInfo(
  store: Store,
  name: string,
  records: readonly WorkerRecord[],
  now: number,
): Promise<QueueInfo> {
  const [counts, settings, oldestAt, limitedMs] = await Promise.all([
    queueCounts(store, name),
    queueSettings(store, name),
    oldestWaitingAt(store, name),
    rateLimitTtlOf(store, name),
  ]);
  const serving = records.filter(
    (record) => Object.hasOwn(record.queues, name) && workerStateOf(record, now) !== 'missing',
  );
  return {
    name,
    counts,
    isPaused: settings.isPaused,
    concurrency: settings.concurrency ?? null,
    rateLimit: settings.rateLimit ?? null,
    oldestWaitingMs: oldestAt === undefined ? null : Math.max(0, now - oldestAt),
    limitedMs: limitedMs > 0 ? limitedMs : null,
    lost: lostJobs(name, counts.active, records, now),
    workers: [...new Set(serving.map((record) => record.name))],
  };
}

/** Returns the jobs of a queue that missing workers hold, if `active` jobs run in it; null for none. */
function lostJobs(
  queue: string,
  active: number,
  records: readonly WorkerRecord[],
  now: number,
): LostJobs | null {
  const served = records.flatMap((record) => {
    const facts = Object.hasOwn(record.queues, queue) ? record.queues[queue] : undefined;
    return facts === undefined ? [] : [{ record, active: facts.active, state: workerStateOf(record, now) }];
  });
  const present = served.filter(({ state }) => state !== 'missing');
  const missing = served.filter((each) => each.state === 'missing' && each.active > 0);
  const sum = (each: typeof served) => each.reduce((total, one) => total + one.active, 0);
  const jobs = Math.min(sum(missing), active - sum(present));
  if (jobs <= 0) return null;
  const seenAt = Math.max(...missing.map(({ record }) => record.seenAt));
  const free = missing.map(({ record: { seenAt: at, heartbeatMs, lockDurationMs } }) =>
    // Its locks were renewed until it crashed, and other workers look for expired locks twice in a lock duration.
    lockDurationMs === undefined ? Number.NaN : at + heartbeatMs + lockDurationMs * 1.5,
  );
  const freeAt = Math.max(...free);
  return {
    jobs,
    workers: [...new Set(missing.map(({ record }) => record.name))],
    lastSeenAt: new Date(seenAt),
    freeAt: present.length === 0 || Number.isNaN(freeAt) ? null : new Date(freeAt),
  };
}

async function jobsQuery(
  { queues, checkQueue }: InspectDependencies,
  query: JobsQuery = {},
): Promise<{ queues: readonly string[]; limit: number }> {
  const { queue, limit = LIMIT.default } = checkOptions(query, JOBS_QUERY, { option: 'query' });
  checkInteger('limit', limit, 1, LIMIT.max);
  if (queue === undefined) return { queues: await queues(), limit };
  await checkQueue(queue);
  return { queues: [queue], limit };
}

function formatJob({ id, task, queue, runId, attempt, enqueuedAt, problem }: WaitingJob): ReservedJob {
  return {
    id,
    task,
    queue,
    ...(runId !== undefined && { runId }),
    attempt,
    enqueuedAt: new Date(enqueuedAt),
    ...(problem !== undefined && { problem }),
  };
}

/** A task that a worker has a handler for, with its options. */
export interface RegisteredTask {
  readonly name: string;
  /** Queue of its calls, unless the route depends on the input. */
  readonly queue: string;
  /** Schema of the input before decoding; null without a schema, or if the library provides no JSON Schema. */
  readonly input: JsonSchema | null;
  /** Schema of the result; null as for `input`. */
  readonly output: JsonSchema | null;
  readonly attempts: number;
  readonly timeoutMs: number | null;
  readonly expiresMs: number | null;
  readonly priority: number;
  /** Whether the handler runs in a child process. */
  readonly isIsolated: boolean;
  readonly states: readonly string[];
  /** Names of its declared failures. */
  readonly failures: readonly string[];
}

export function registeredTasks(
  tasks: readonly TaskEntry[],
  queueOf: (task: string, queue: string | undefined) => string,
): RegisteredTask[] {
  return tasks.map(({ name, options, input, output, isolate, states = [], failures = {} }) => ({
    name,
    queue: queueOf(name, options.queue),
    input: jsonSchemaOf(input, 'input'),
    output: jsonSchemaOf(output, 'output'),
    attempts: options.retry?.attempts ?? 1,
    timeoutMs: options.timeoutMs ?? null,
    expiresMs: options.expiresMs ?? null,
    priority: options.priority ?? 0,
    isIsolated: isolate !== undefined,
    states,
    failures: Object.keys(failures),
  }));
}

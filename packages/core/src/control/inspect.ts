/** What can be asked of an app's workers and queues, from any process. */

import type { StandardJSONSchemaV1 } from '@standard-schema/spec';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
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
import type { Schema } from '../task/types/task.js';
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

/** That a worker is there. */
export interface Pong {
  /** From the question to the answer. */
  readonly roundTripMs: number;
}

/** A queue, as the store tells of it. */
export interface QueueInfo {
  readonly name: string;
  readonly counts: QueueCounts;
  readonly isPaused: boolean;
  /** Of the queue as a whole; null: no limit but the workers' own. */
  readonly concurrency: number | null;
  /** Starts in a time, of the queue as a whole; null: no limit. */
  readonly rateLimit: { readonly max: number; readonly durationMs: number } | null;
  /** For how long the job that has waited longest could have started; null if none waits. With priorities, an estimate. */
  readonly oldestWaitingMs: number | null;
  /** How long its rate limit lets no job start from now on; null if it lets one start. */
  readonly limitedMs: number | null;
  /** Jobs that workers hold which are missing; null if there are none. They take places of `concurrency`. */
  readonly lost: LostJobs | null;
  /** Names of the workers that serve it, without missing ones. */
  readonly workers: readonly string[];
}

/** Jobs of a queue whose workers have not been heard of. */
export interface LostJobs {
  /** As many as their workers had when they were heard of last, at most. */
  readonly jobs: number;
  /** Names of those. */
  readonly workers: readonly string[];
  readonly lastSeenAt: Date;
  /** By when another worker has put them back into the queue; null if none serves it that could, or nobody knows. */
  readonly freeAt: Date | null;
}

/** A job that waits for a time. */
export interface ScheduledJob {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  /** The composition that it is a step of. */
  readonly runId?: string;
  /** The attempt that it waits for, counted from 1. */
  readonly attempt: number;
  readonly enqueuedAt: Date;
  /**
   * The earliest start. Of another attempt, counted from the beginning of the last one, since the store does not tell
   * its end: it starts later by as long as that one ran.
   */
  readonly dueAt: Date;
  /** Why its record cannot be read; what it would tell is then unknown, and its times are of 1970. Absent if it can. */
  readonly problem?: string;
}

/** A job that is taken soon. */
export type ReservedJob = Omit<ScheduledJob, 'dueAt'>;

export interface JobsQuery {
  /** Default: every queue of the app. */
  queue?: string | undefined;
  /** At most 1,000. Default 100. */
  limit?: number | undefined;
}

/**
 * Looks at the workers and queues of an app, from any process. What the store knows is told also without any worker; what
 * only workers know is asked of them, and each answers for itself within the time.
 */
export interface Inspect {
  /** Every worker that was not closed. Killed ones are `missing`, and left out an hour after they were heard of last. */
  workers(): Promise<WorkerInfo[]>;
  /** Every queue of the app, also one that holds jobs and that nobody serves; and those that only workers know of. */
  queues(): Promise<QueueInfo[]>;
  /**
   * The apps that the store holds something of, also other ones: found by a look at its keys, which is bounded. Without
   * those that have a `prefix` of their own.
   */
  apps(): Promise<FoundApps>;
  /** Jobs that wait for a time, the next one that is due first. */
  scheduled(query?: JobsQuery): Promise<ScheduledJob[]>;
  /**
   * The jobs that are taken next, in that order, up to `limit` of each queue. Workers reserve none: each takes a job when
   * it has a place for it.
   */
  reserved(query?: JobsQuery): Promise<ReservedJob[]>;
  /** Which workers answer. */
  ping(options?: AskOptions): Promise<Answers<Pong>>;
  /** The attempts that run, the one that began first in front; of each worker the first 2,000. */
  active(options?: AskOptions): Promise<Answers<readonly ActiveAttempt[]>>;
  /** What each worker has done, and how it fares. */
  stats(options?: AskOptions): Promise<Answers<WorkerStats>>;
  /**
   * The tasks that each worker has a handler for, with the JSON Schemas of their inputs and results where the schema
   * library can tell them (Standard JSON Schema: zod, arktype), without defaults and examples.
   */
  registered(options?: AskOptions): Promise<Answers<readonly RegisteredTask[]>>;
  /** The settings of each worker; no passwords, keys or headers are among them. */
  conf(options?: AskOptions): Promise<Answers<WorkerConf>>;
}

export interface InspectDependencies {
  readonly asking: WorkerQuery;
  readonly store: Store;
  /** The queues of the app, and those that its workers serve. */
  readonly queues: () => Promise<readonly string[]>;
  /** @throws {UnknownQueueError} if it is none of them. */
  readonly checkQueue: (queue: string) => Promise<unknown>;
}

const JOBS_QUERY: OptionNames<JobsQuery> = { queue: true, limit: true };
const LIMIT = { usual: 100, most: 1000 };

/** @param dependencies Those of the app that is meant when something is asked: a test's, while it stands in. */
export function inspectOf(dependencies: () => InspectDependencies): Inspect {
  return {
    async workers() {
      const { asking } = dependencies();
      return workersOf(await asking.records(), asking.now);
    },
    async queues() {
      const { asking, store, queues } = dependencies();
      const [records, names] = await Promise.all([asking.records(), queues()]);
      return Promise.all([...names].sort().map((name) => queueInfo(store, name, records, asking.now)));
    },
    apps: () => appsIn(dependencies().store),
    async scheduled(query) {
      const { store } = dependencies();
      const { queues, limit } = await jobsQuery(dependencies(), query);
      const jobs = await Promise.all(queues.map((queue) => delayedJobs(store, queue, limit)));
      const sorted = jobs.flat().sort((a, b) => a.dueAt - b.dueAt);
      return sorted.slice(0, limit).map((job) => ({ ...shown(job), dueAt: new Date(job.dueAt) }));
    },
    async reserved(query) {
      const { store } = dependencies();
      const { queues, limit } = await jobsQuery(dependencies(), query);
      const jobs = await Promise.all(queues.map((queue) => nextJobs(store, queue, limit)));
      return jobs.flat().map(shown);
    },
    ping: (options) =>
      dependencies().asking.ask('ping', {}, (_, afterMs) => ({ roundTripMs: afterMs }), options),
    active: (options) => dependencies().asking.ask('active', {}, readAttempts, options),
    stats: (options) => dependencies().asking.ask('stats', {}, readStats, options),
    registered: (options) => dependencies().asking.ask('registered', {}, readTasks, options),
    conf: (options) => dependencies().asking.ask('conf', {}, readConf, options),
  };
}

async function queueInfo(
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

/** What missing workers hold of a queue in which so many jobs run. */
function lostJobs(
  queue: string,
  active: number,
  records: readonly WorkerRecord[],
  now: number,
): LostJobs | null {
  const served = records.flatMap((record) => {
    const own = Object.hasOwn(record.queues, queue) ? record.queues[queue] : undefined;
    return own === undefined ? [] : [{ record, active: own.active, state: workerStateOf(record, now) }];
  });
  const present = served.filter(({ state }) => state !== 'missing');
  const missing = served.filter((each) => each.state === 'missing' && each.active > 0);
  const sum = (each: typeof served) => each.reduce((total, one) => total + one.active, 0);
  const jobs = Math.min(sum(missing), active - sum(present));
  if (jobs <= 0) return null;
  const seenAt = Math.max(...missing.map(({ record }) => record.seenAt));
  const free = missing.map(({ record: { seenAt: at, heartbeatMs, lockDurationMs } }) =>
    // Its locks were renewed until it died, and are looked for twice while one lasts.
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
  const { queue, limit = LIMIT.usual } = checkOptions(query, JOBS_QUERY, { option: 'query' });
  checkInteger('limit', limit, 1, LIMIT.most);
  if (queue === undefined) return { queues: await queues(), limit };
  await checkQueue(queue);
  return { queues: [queue], limit };
}

function shown({ id, task, queue, runId, attempt, enqueuedAt, problem }: WaitingJob): ReservedJob {
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

// The tasks that a worker can run, as it tells of them.

/** A JSON Schema of the draft 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A task that a worker has a handler for. */
export interface RegisteredTask {
  readonly name: string;
  /** Where its calls go, as far as no input decides. */
  readonly queue: string;
  /** Of its input, as it is sent, and of its result; null if it has no schema, or one that gives no JSON Schema. */
  readonly input: JsonSchema | null;
  readonly output: JsonSchema | null;
  readonly attempts: number;
  readonly timeoutMs: number | null;
  readonly expiresMs: number | null;
  readonly priority: number;
  /** Whether it runs in a child process. */
  readonly isIsolated: boolean;
  readonly states: readonly string[];
  /** Names of the failures that it may end with. */
  readonly failures: readonly string[];
}

export function registeredTasks(
  tasks: readonly TaskEntry[],
  queueOf: (task: string, own: string | undefined) => string,
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

/** @see https://standardschema.dev/json-schema */
function jsonSchemaOf(schema: Schema | undefined, side: 'input' | 'output'): JsonSchema | null {
  const standard = schema?.['~standard'] as Partial<StandardJSONSchemaV1.Props> | undefined;
  try {
    const found = standard?.jsonSchema?.[side]({ target: 'draft-2020-12' });
    return isPlainObject(found) ? withoutValues(found) : null;
  } catch {
    return null; // it says so of what JSON Schema cannot express
  }
}

/** Keywords whose values are values of the user's: what a field is by default may be nobody's business. */
const VALUES: ReadonlySet<string> = new Set(['default', 'examples', 'example']);
/** Keywords whose keys are names, and no keywords. */
const NAMED: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
]);
/** Keywords whose values are no schemas. */
const PLAIN: ReadonlySet<string> = new Set(['enum', 'const', 'required', 'type']);

function withoutValues(schema: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(schema).filter(([keyword]) => !VALUES.has(keyword));
  return Object.fromEntries(
    kept.map(([keyword, value]) => {
      if (PLAIN.has(keyword)) return [keyword, value];
      if (!NAMED.has(keyword) || !isPlainObject(value)) return [keyword, below(value)];
      return [keyword, Object.fromEntries(Object.entries(value).map(([name, item]) => [name, below(item)]))];
    }),
  );
}

function below(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(below);
  return isPlainObject(value) ? withoutValues(value) : value;
}

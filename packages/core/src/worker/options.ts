/**
 * The options of a worker: their types, defaults and checks, and how many jobs of a queue it runs under load.
 * `app.worker()` and the CLI use it; every error names the option.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { InvalidOptionError } from '../base/errors.js';
import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkText,
  type OptionNames,
  positiveMs,
} from '../base/option-checks.js';
import { type Duration, durationMs } from '../base/time.js';
import type { ForeignHandler } from '../store/consumer.js';
import {
  type Concurrency,
  type ConcurrencyBounds,
  checkQueue,
  concurrencyBounds,
} from '../task/option-checks.js';
import type { MetricsSource } from './health.js';
import { MAX_LOST_STARTS } from './poison.js';

/** Watched files: modules below the working directory, or every file at and below these paths. */
export type WatchedFiles = 'modules' | readonly string[];

/** Addresses of this machine: `host:port`, or the path of a socket. */
const LOCAL = /^(?:localhost|127\.[\d.]+|\[?::1\]?)(?::\d+)?$|^\//;

/**
 * Returns the number of processes for `'auto'`: one per available core. A store on this machine needs a core of its own:
 * without it, each further process slows the store down more than it adds.
 */
export function autoProcesses(cores: number, storeAddresses: readonly string[]): number {
  const isStoreHere = storeAddresses.some((address) => LOCAL.test(address));
  return Math.max(1, isStoreHere ? cores - 1 : cores);
}

/** @throws {InvalidOptionError} */
function processCount(processes: number | 'auto', storeAddresses: readonly string[]): number {
  if (processes === 'auto') return autoProcesses(availableParallelism(), storeAddresses);
  if (typeof processes !== 'number')
    throw new InvalidOptionError('processes', `a whole number from 1 to 1024, or 'auto'`, processes);
  return checkInteger('processes', processes, 1, 1024);
}

/** @throws {InvalidOptionError} */
function watchedFiles(watch: boolean | readonly string[]): WatchedFiles | undefined {
  if (watch === false) return undefined;
  if (watch === true) return 'modules';
  if (!Array.isArray(watch) || watch.length === 0)
    throw new InvalidOptionError('watch', 'true, false or a list of paths', watch);
  return watch.map((path: string) => {
    if (!existsSync(checkText('watch', path, 4096)))
      throw new InvalidOptionError('watch', 'paths of files and folders that exist', path);
    return path;
  });
}

/** An amount of memory: bytes as a number, or text such as `'512MB'` or `'1.5GB'` (1 KB is 1024 bytes). */
export type MemorySize = number | `${number}${'' | ' '}${'KB' | 'MB' | 'GB'}`;

const UNITS = { KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 } as const;

/** @throws {InvalidOptionError} unless the size is greater than zero. */
export function bytesOf(option: string, size: MemorySize): number {
  const value = typeof size === 'number' ? size : parse(size);
  if (value === undefined || !Number.isFinite(value) || value <= 0) {
    throw new InvalidOptionError(option, `bytes, or text such as '512MB' or '1.5GB'`, size);
  }
  return Math.round(value);
}

function parse(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?(KB|MB|GB)$/.exec(String(text)) ?? [];
  return amount === undefined ? undefined : Number(amount) * UNITS[unit as keyof typeof UNITS];
}

/** Formats bytes as whole mebibytes for messages. */
export function inMegabytes(bytes: number): string {
  return `${Math.round(bytes / UNITS.MB)} MB`;
}

/**
 * Options of `app.worker()`. Every one is optional.
 * @example
 * app.worker({ queues: { email: 20, reports: 2 }, health: 9090, shutdownTimeout: '1m' });
 */
export interface WorkerOptions {
  /**
   * Queues to serve, as a list or with a concurrency each: `{ email: 20, reports: 2 }`. Default: the queues of all tasks
   * that have a handler in this process.
   */
  queues?: readonly string[] | Readonly<Record<string, Concurrency>> | undefined;
  /** Jobs of one queue that run at the same time, unless `queues` sets it. Default 10. */
  concurrency?: Concurrency | undefined;
  /** Name that the store records with the jobs of this worker. Default: host name and process id. */
  name?: string | undefined;
  /** Time without a lock renewal after which a worker's jobs run elsewhere. Default 30 s, at least 1 s. */
  lockDuration?: Duration | undefined;
  /**
   * Whether SIGTERM and SIGINT end this worker. The first signal shuts it down: it takes no more jobs, waits for the
   * running ones and closes its app. A second signal returns the running jobs to their queues. The process then exits
   * with 0, or with 143 or 130 after a second signal. If another listener exists for the signal, Umbel does not exit the
   * process. Default true.
   */
  handleSignals?: boolean | undefined;
  /**
   * How long a shutdown by a signal waits for running jobs. After that they return to their queues without using up an
   * attempt, run again elsewhere, and the worker logs them. Default 25 s, because Kubernetes kills after 30 s; `false` for
   * no limit.
   */
  shutdownTimeout?: Duration | false | undefined;
  /** Number of attempts after which the worker closes: a remedy for handlers that leak memory. Default: no limit. */
  maxJobs?: number | undefined;
  /**
   * Resident memory of the process above which the worker closes: bytes, or text such as `'512MB'`. Checked after
   * attempts, and every 5 s. Default: no limit.
   */
  maxMemory?: MemorySize | undefined;
  /**
   * Port of an HTTP server for probes: `/livez` and `/readyz` answer 200, or 503 with the reasons. It listens on all
   * addresses unless `host` is set, because probes come from outside. With `metrics`, such as those of
   * `@umbel/core/prometheus`, it also serves `/metrics`. Default: no server.
   */
  health?:
    | number
    | {
        readonly port: number;
        readonly host?: string | undefined;
        readonly metrics?: MetricsSource | undefined;
      }
    | undefined;
  /**
   * Handles jobs that another program added to the same queues. It receives BullMQ's `Job`; its return value or error is
   * the outcome of the job, under the job's own options. Default: such jobs return to their queue without using up an
   * attempt.
   * @example
   * app.worker({ onForeignJob: async (job) => console.log(job.name, job.data) });
   */
  onForeignJob?: ForeignHandler | undefined;
  /** @deprecated The earlier name of `onForeignJob`. */
  fallback?: ForeignHandler | undefined;
  /**
   * Whether to start although the store evicts keys when its memory is full (a `maxmemory-policy` other than
   * `noeviction`), which loses jobs. Default false.
   */
  allowEviction?: boolean | undefined;
  /**
   * Number of processes that take jobs, each with the full `concurrency`. With more than one, this process takes no jobs:
   * `start` runs the program again in that many child processes, where the same `app.worker()` takes jobs. A process that
   * ends is replaced (at once, then after 1 s, 2 s … 30 s). A process that reaches `maxJobs` or `maxMemory`, which count
   * per process, is replaced as soon as it takes no more jobs. Signals, `close`, `health` and all other methods act on
   * all processes. `'auto'`: one process per available core, without the core that a store on this machine needs; on two
   * cores beside the store that is one. Default 1: this process takes the jobs itself.
   */
  processes?: number | 'auto' | undefined;
  /**
   * For development: restarts the worker when a file changes. The worker runs in child processes (one, unless `processes`
   * sets more). Running jobs get 2 s to end, then return to their queues. `true` watches JavaScript and TypeScript files
   * below the working directory; a list watches these files and folders. `node_modules` is never watched. A program that
   * fails to load waits for the next change. Default false.
   */
  watch?: boolean | readonly string[] | undefined;
  /**
   * How many times in a row a job may end its worker while it runs with no other job beside it. A job runs that way once
   * it was lost twice. After this many losses it fails with a `PoisonJobError`, because its handler is the likely cause.
   * Default 5. Use a higher number where workers are killed often and handlers run long.
   */
  maxLostStarts?: number | undefined;
  /**
   * How often the workers look for jobs that wait for nothing, and repair them. One worker at a time does it, 100 waiting
   * jobs of each queue a step. Default 1 min, at least 1 s; `false` for never.
   */
  repairInterval?: Duration | false | undefined;
  /**
   * Whether the worker stores the schedules of this program when it starts, like `app.schedules.sync()`. Default true.
   * Every worker fires the stored schedules, also with `false`.
   */
  schedules?: boolean | undefined;
  /**
   * How often the worker reports itself, with one store command. `app.inspect.workers()` shows it as missing after three
   * times as long. Default 10 s, at least 100 ms. `false`: the worker is invisible to `app.inspect` and `app.control`, and
   * ignores their messages except the termination of attempts.
   */
  heartbeat?: Duration | false | undefined;
}

interface HealthOptions {
  readonly port: number;
  readonly host: string | undefined;
  readonly metrics: MetricsSource | undefined;
}

/** Checked options, with times in milliseconds and sizes in bytes. */
export interface NormalizedWorkerOptions {
  /** Undefined: the queues of the app's tasks. */
  readonly queues: ReadonlyMap<string, ConcurrencyBounds> | undefined;
  readonly concurrency: ConcurrencyBounds;
  readonly name: string;
  readonly lockDurationMs: number;
  readonly handlesSignals: boolean;
  readonly shutdownTimeoutMs: number | undefined;
  readonly maxJobs: number | undefined;
  readonly maxMemoryBytes: number | undefined;
  readonly health: HealthOptions | undefined;
  readonly onForeignJob: ForeignHandler | undefined;
  readonly allowsEviction: boolean;
  readonly maxLostStarts: number;
  readonly repairIntervalMs: number | undefined;
  readonly syncsSchedules: boolean;
  readonly heartbeatMs: number | undefined;
  readonly processes: number;
  readonly watch: WatchedFiles | undefined;
}

const OPTIONS: OptionNames<WorkerOptions> = {
  queues: true,
  concurrency: true,
  name: true,
  lockDuration: true,
  handleSignals: true,
  shutdownTimeout: true,
  maxJobs: true,
  maxMemory: true,
  health: true,
  onForeignJob: true,
  fallback: true,
  allowEviction: true,
  processes: true,
  watch: true,
  maxLostStarts: true,
  repairInterval: true,
  schedules: true,
  heartbeat: true,
};

const HEALTH: OptionNames<Exclude<WorkerOptions['health'], number | undefined>> = {
  port: true,
  host: true,
  metrics: true,
};

const DAY_MS = 86_400_000;
/** Longest delay of a timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

function foreignHandlerOf({ onForeignJob, fallback }: WorkerOptions): ForeignHandler | undefined {
  if (onForeignJob !== undefined && fallback !== undefined)
    throw new InvalidOptionError(
      'fallback',
      'absent when `onForeignJob` is set: it is the earlier name of that option',
      fallback,
    );
  for (const [option, handler] of Object.entries({ onForeignJob, fallback })) {
    if (handler !== undefined && typeof handler !== 'function')
      throw new InvalidOptionError(option, 'a function', handler);
  }
  return onForeignJob ?? fallback;
}

/**
 * Checks worker options and fills in the defaults.
 * @param storeAddresses The addresses of the store, on which `processes: 'auto'` depends.
 * @throws {InvalidOptionError} if a value is invalid.
 */
export function normalizeWorkerOptions(
  options: WorkerOptions,
  defaultName: string,
  storeAddresses: readonly string[] = [],
): NormalizedWorkerOptions {
  checkOptions(options, OPTIONS, { example: '{ concurrency: 20 }' });
  const { queues, name, maxJobs, maxMemory, health } = options;
  const { repairInterval = '1m', shutdownTimeout = '25s', heartbeat = '10s' } = options;
  const concurrency = concurrencyBounds('concurrency', options.concurrency ?? 10);
  return {
    queues: queues && queueBounds(queues, concurrency),
    concurrency,
    name: checkText('name', name ?? defaultName, 200),
    lockDurationMs: checkInteger(
      'lockDuration',
      durationMs(options.lockDuration ?? '30s', 'lockDuration'),
      1000,
      DAY_MS,
    ),
    handlesSignals: checkBoolean('handleSignals', options.handleSignals ?? true),
    shutdownTimeoutMs:
      shutdownTimeout === false
        ? undefined
        : checkInteger('shutdownTimeout', durationMs(shutdownTimeout, 'shutdownTimeout'), 0, MAX_TIMER_MS),
    maxJobs: maxJobs === undefined ? undefined : checkInteger('maxJobs', maxJobs, 1, Number.MAX_SAFE_INTEGER),
    maxMemoryBytes: maxMemory === undefined ? undefined : bytesOf('maxMemory', maxMemory),
    health: health === undefined ? undefined : healthOptions(health),
    onForeignJob: foreignHandlerOf(options),
    allowsEviction: checkBoolean('allowEviction', options.allowEviction ?? false),
    maxLostStarts: checkInteger('maxLostStarts', options.maxLostStarts ?? MAX_LOST_STARTS, 1, 1_000_000),
    repairIntervalMs:
      repairInterval === false
        ? undefined
        : checkInteger('repairInterval', positiveMs(repairInterval, 'repairInterval'), 1000, DAY_MS),
    syncsSchedules: checkBoolean('schedules', options.schedules ?? true),
    heartbeatMs:
      heartbeat === false
        ? undefined
        : checkInteger('heartbeat', positiveMs(heartbeat, 'heartbeat'), 100, DAY_MS),
    processes: processCount(options.processes ?? 1, storeAddresses),
    watch: watchedFiles(options.watch ?? false),
  };
}

function queueBounds(
  queues: NonNullable<WorkerOptions['queues']>,
  defaultBounds: ConcurrencyBounds,
): Map<string, ConcurrencyBounds> {
  if (Array.isArray(queues))
    return new Map(queues.map((queue: string) => [checkQueue('queues', queue), defaultBounds]));
  return new Map(
    Object.entries(queues).map(([queue, concurrency]) => [
      checkQueue('queues', queue),
      concurrencyBounds(`queues.${queue}`, concurrency as Concurrency), // not a list: checked above
    ]),
  );
}

function healthOptions(health: NonNullable<WorkerOptions['health']>): HealthOptions {
  const { port, host, metrics } =
    typeof health === 'object'
      ? checkOptions<Exclude<typeof health, number>>(health, HEALTH, { option: 'health', above: 'health.' })
      : { port: health };
  if (
    metrics !== undefined &&
    (typeof metrics?.text !== 'function' || typeof metrics.contentType !== 'string')
  )
    throw new InvalidOptionError('health.metrics', 'an object with `text()` and `contentType`', metrics);
  return {
    port: checkInteger('health', port, 0, 65_535),
    host: host === undefined ? undefined : checkText('health.host', host, 255),
    metrics,
  };
}

/** Returns the queues that a worker serves from its start, without duplicates: those of its options, else the defaults. */
export function queuesToServe(
  { queues }: Pick<NormalizedWorkerOptions, 'queues'>,
  defaultQueues: () => readonly string[],
): string[] {
  return [...new Set(queues?.keys() ?? defaultQueues())];
}

/** The load that decides the concurrency of one queue. */
export interface Load {
  /** Running jobs of the queue in this worker. */
  readonly active: number;
  /** Share of the last interval in which the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  /** Longest delay of the event loop in the interval, in milliseconds. */
  readonly delayMs: number;
}

/** With a longer delay of the event loop every job slows down, and locks may not be renewed in time. */
const LATE_MS = 200;
const BUSY = 0.95;
const CALM = 0.8;

/**
 * Returns the next concurrency of a queue. It grows by a quarter (at least one) while all of it is in use and the event
 * loop has time to spare, shrinks by a quarter while the event loop is late or busy, and by one while less than half of it
 * is in use.
 */
export function nextConcurrency(
  current: number,
  { min, max }: ConcurrencyBounds,
  { active, utilization, delayMs }: Load,
): number {
  const step = Math.max(1, Math.floor(current / 4));
  const clamp = (value: number) => Math.min(max, Math.max(min, value));
  if (delayMs > LATE_MS || utilization > BUSY) return clamp(current - step);
  if (active >= current && utilization < CALM) return clamp(current + step);
  if (active * 2 < current) return clamp(current - 1);
  return clamp(current);
}

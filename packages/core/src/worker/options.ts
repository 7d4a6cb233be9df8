/** What a worker can be told, and what it makes of it. */
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

// How many processes a worker has, and what starts them anew.

/** Which files are watched: those of modules below the working directory, or any at and below the given paths. */
export type WatchedFiles = 'modules' | readonly string[];

/** @throws {InvalidOptionError} */
export function processCount(processes: number | 'auto'): number {
  if (processes === 'auto') return availableParallelism();
  if (typeof processes !== 'number')
    throw new InvalidOptionError('processes', `a whole number from 1 to 1024, or 'auto'`, processes);
  return checkInteger('processes', processes, 1, 1024);
}

/** @throws {InvalidOptionError} */
export function watchedFiles(watch: boolean | readonly string[]): WatchedFiles | undefined {
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

/** An amount of memory: bytes as a number, or text such as `'512MB'` or `'1.5GB'` (of 1024, as operating systems count). */
export type MemorySize = number | `${number}${'' | ' '}${'KB' | 'MB' | 'GB'}`;

const UNITS = { KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 } as const;

/** @throws {InvalidOptionError} unless it is more than zero. */
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

/** In whole mebibytes, for people. */
export function inMegabytes(bytes: number): string {
  return `${Math.round(bytes / UNITS.MB)} MB`;
}

export interface WorkerOptions {
  /**
   * Queues to serve, as a list or with the concurrency of each: `{ email: 20, reports: 2 }`. Default: those of every task
   * that has a handler in this process.
   */
  queues?: readonly string[] | Readonly<Record<string, Concurrency>> | undefined;
  /** Jobs of one queue that run at the same time, where `queues` does not say. Default 10. */
  concurrency?: Concurrency | undefined;
  /** Shown in the store beside the jobs this worker runs. Default: host name and process id. */
  name?: string | undefined;
  /** After this long without a sign of life, a worker's jobs run again elsewhere. Default 30 s, at least 1 s. */
  lockDuration?: Duration | undefined;
  /**
   * Whether SIGTERM and SIGINT end this worker: the first one shuts it down (it takes no more jobs, waits for those that
   * run, closes its app), a second one gives back what still runs. Then the process exits with 0, with 143 or 130 after a
   * second signal; unless something else listens for the signal too, which then decides when the process ends.
   * Default true.
   */
  handleSignals?: boolean | undefined;
  /**
   * How long a shutdown by a signal waits for running jobs. Then they are given back to their queues, uncharged, to run
   * again elsewhere, and the logger is told which. Default 25 s, since Kubernetes kills after 30 s; `false` for no limit.
   */
  shutdownTimeout?: Duration | false | undefined;
  /** Closes the worker once it has run so many attempts: a remedy for handlers that leak. Default: never. */
  maxJobs?: number | undefined;
  /**
   * The same once its process uses more memory (resident set): bytes, or text such as `'512MB'`. Looked at
   * after attempts, and every 5 s. Default: never.
   */
  maxMemory?: MemorySize | undefined;
  /**
   * Answers probes over HTTP at this port: `/livez` and `/readyz` with 200, or with 503 and the reasons. On all
   * addresses of the machine, since probes come from outside, unless `host` says otherwise. With `metrics`, such as those
   * of `@umbel/core/prometheus`, also `/metrics`. Default: no server.
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
   * Handles jobs that another program added to the same queues. It receives BullMQ's own `Job`; what it returns or throws
   * is the outcome of the job, by the job's own options. Default: such jobs go back to their queue, uncharged.
   * @example
   * app.worker({ onForeignJob: (job) => processors[job.name]?.(job) });
   */
  onForeignJob?: ForeignHandler | undefined;
  /** @deprecated The earlier name of `onForeignJob`. */
  fallback?: ForeignHandler | undefined;
  /**
   * Starts also if the store evicts keys when its memory is full (`maxmemory-policy` other than `noeviction`), and so
   * loses jobs. Default false.
   */
  allowEviction?: boolean | undefined;
  /**
   * Processes that take jobs, each as many at a time as `concurrency` says. With more than one, this process takes none:
   * `start` runs the program again in so many further ones, where the same `app.worker()` takes jobs. One that ends is
   * replaced (at once, then after 1 s, 2 s … 30 s); one that has reached `maxJobs` or `maxMemory`, which are of each
   * process, as soon as it takes no more jobs. Signals, `close`, `health` and all others are of the whole. `'auto'`: as
   * many as this machine can run at a time. Default 1: this process takes the jobs itself.
   */
  processes?: number | 'auto' | undefined;
  /**
   * For development: the worker is started anew when a file changes, in processes of its own (one, unless `processes`
   * says more). Jobs that run then have 2 s, and are given back. `true`: JavaScript and TypeScript files below the working
   * directory; or files and folders. Not in `node_modules`. A program that cannot be loaded waits for the next change.
   * Default false.
   */
  watch?: boolean | readonly string[] | undefined;
  /**
   * How often in a row a job may end its worker while it runs alone there, which it does once it was lost twice: it is
   * failed with a `PoisonJobError` then, since its handler is taken to be why. Default 5. More where workers are killed
   * often, and handlers run long.
   */
  maxLostStarts?: number | undefined;
  /**
   * How often it is looked for jobs that wait for what will never come, to put them right: by one of all workers, in
   * steps of 100 waiting jobs a queue. Default 1 min, at least 1 s; `false` for never.
   */
  repairInterval?: Duration | false | undefined;
  /**
   * Whether the schedules that this program declares are stored when the worker starts, as by `app.schedules.sync()`.
   * Default true. Every worker fires the slots of those that are stored, whatever this says.
   */
  schedules?: boolean | undefined;
  /**
   * How often the worker tells that it is there, with one command of the store: who looks finds it missing after three
   * times as long (`app.inspect.workers()`). Default 10 s, at least 100 ms. `false`: nobody sees it, and it answers no
   * question and obeys no order (`app.inspect`, `app.control`), but for the termination of attempts.
   */
  heartbeat?: Duration | false | undefined;
}

interface HealthOptions {
  readonly port: number;
  readonly host: string | undefined;
  readonly metrics: MetricsSource | undefined;
}

/** Options, checked, with times in milliseconds. */
export interface NormalizedWorkerOptions {
  /** Undefined: those of the app's tasks. */
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
/** What a timer takes at most. */
const LONGEST_MS = 2 ** 31 - 1;

function foreignHandlerOf({ onForeignJob, fallback }: WorkerOptions): ForeignHandler | undefined {
  if (onForeignJob !== undefined && fallback !== undefined)
    throw new InvalidOptionError(
      'fallback',
      'absent beside `onForeignJob`: it is the earlier name of it',
      fallback,
    );
  for (const [option, handler] of Object.entries({ onForeignJob, fallback })) {
    if (handler !== undefined && typeof handler !== 'function')
      throw new InvalidOptionError(option, 'a function', handler);
  }
  return onForeignJob ?? fallback;
}

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export function normalizeWorkerOptions(options: WorkerOptions, defaultName: string): NormalizedWorkerOptions {
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
        : checkInteger('shutdownTimeout', durationMs(shutdownTimeout, 'shutdownTimeout'), 0, LONGEST_MS),
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
    processes: processCount(options.processes ?? 1),
    watch: watchedFiles(options.watch ?? false),
  };
}

function queueBounds(
  queues: NonNullable<WorkerOptions['queues']>,
  usual: ConcurrencyBounds,
): Map<string, ConcurrencyBounds> {
  if (Array.isArray(queues))
    return new Map(queues.map((queue: string) => [checkQueue('queues', queue), usual]));
  return new Map(
    Object.entries(queues).map(([queue, own]) => [
      checkQueue('queues', queue),
      concurrencyBounds(`queues.${queue}`, own as Concurrency), // the list was told apart
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

/** The queues that a worker begins with, each once: those of its options, else the usual ones. */
export function queuesToServe(
  { queues }: Pick<NormalizedWorkerOptions, 'queues'>,
  usual: () => readonly string[],
): string[] {
  return [...new Set(queues?.keys() ?? usual())];
}

/** How many jobs of a queue a worker runs at a time, and how that number follows the load. */

/** What the number for one queue depends on. */
export interface Load {
  /** Jobs of the queue that run here. */
  readonly active: number;
  /** How much of the last interval the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  /** How late the event loop was at worst, in milliseconds. */
  readonly delayMs: number;
}

/** A loop that is later makes every job slower, and locks hard to renew. */
const LATE_MS = 200;
const BUSY = 0.95;
const CALM = 0.8;

/**
 * The next number of places: a quarter more (one at least) while all are taken and there is time to spare, a quarter
 * fewer while the event loop is late or busy, and one fewer while more than half are free.
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

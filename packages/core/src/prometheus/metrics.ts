/** Metrics for Prometheus: attempts of this process, its workers, and the app's queues. They use prom-client. */

import { performance as nodePerformance } from 'node:perf_hooks';
import type * as Client from 'prom-client';
import type { Aggregator, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type App, coreOf } from '../app/app.js';
import type { MetricsInput } from '../app/core.js';
import { InvalidOptionError } from '../base/errors.js';
import { optionalPeer } from '../base/modules.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { isPlainObject } from '../base/text.js';
import type { ActiveAttempt } from '../control/answers.js';
import { type QueueSample, sampleQueue } from '../store/queues.js';
import type { RepairCounts } from '../store/repair.js';
import type { ActivityListener, EndedAttempt } from '../worker/activity.js';
import type { AppWorker } from '../worker/app-worker.js';
import type { MetricsSource } from '../worker/health.js';

type PromClient = typeof Client;

/** Returns prom-client. @throws {MissingPackageError} if it is not installed. */
function promClient(): PromClient {
  return optionalPeer('prom-client', 'Metrics (@umbel/core/prometheus)', bundled) as PromClient;
}

/** Loads the package inside a bundle. Without a bundler there is no `require`, and an excluded package is missing. */
function bundled(): unknown {
  try {
    return require('prom-client');
  } catch {
    return undefined;
  }
}

/** A metric with its values as plain data, as prom-client's `getMetricsAsJSON` returns it. It can be sent as JSON. */
export interface MetricJson {
  readonly name: string;
  readonly help: string;
  readonly type: unknown;
  readonly aggregator: unknown;
}

/**
 * Merges the metrics of several processes. Counters, histograms and running attempts are summed. For queues, which every
 * process reads from the store, the largest value is used.
 * @param processes The results of `metrics.json()` of each process.
 * @throws {MissingPackageError} if `prom-client` is not installed.
 * @example
 * const first = await prometheusMetrics(app).json(); // in each process, sent to one of them
 * const text = await aggregate([first]).text();
 */
export function aggregate(processes: readonly (readonly MetricJson[])[]): MetricsSource {
  const { AggregatorRegistry } = promClient();
  const register = AggregatorRegistry.aggregate(processes as unknown as object[]); // prom-client expects lists, although its type does not say so
  return { contentType: register.contentType, text: () => register.metrics() };
}

/** Limits the names from handlers that become label values: each one creates a time series that stays in memory. */
export class BoundedNames {
  readonly #known = new Set<string>();
  readonly #max: number;

  /** @param max Maximum number of different names; further names become `other`. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Returns the name, or `other` if it is not the name of a class or exceeds the maximum. */
  of(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= this.#max || !/^[A-Za-z_$][\w$]{0,63}$/.test(name)) return 'other';
    this.#known.add(name);
    return name;
  }
}

/** Maximum number of error classes with their own label value. */
const ERROR_NAMES = 50;

/** Metrics of the attempts in this process. */
class AttemptMetrics implements ActivityListener {
  readonly #attempts: Counter<'task' | 'queue' | 'state'>;
  readonly #durations: Histogram<'task' | 'queue'>;
  readonly #waits: Histogram<'task' | 'queue'>;
  readonly #retries: Counter<'task'>;
  readonly #failures: Counter<'task' | 'error'>;
  readonly #errors = new BoundedNames(ERROR_NAMES);
  readonly #hasTask: (name: string) => boolean;

  constructor(factory: MetricFactory, buckets: readonly number[], hasTask: (name: string) => boolean) {
    this.#hasTask = hasTask;
    this.#attempts = factory.counter('attempts_total', 'Ended attempts by outcome', [
      'task',
      'queue',
      'state',
    ]);
    this.#durations = factory.histogram(
      'attempt_duration_seconds',
      'Duration of attempts whose handler ran, with any outcome',
      ['task', 'queue'],
      buckets,
    );
    this.#waits = factory.histogram(
      'wait_seconds',
      'Time that jobs waited for a worker, from the end of their delay to their first attempt; ' +
        'without steps that wait for earlier steps',
      ['task', 'queue'],
      buckets,
    );
    this.#retries = factory.counter('retries_total', 'Attempts that are retried', ['task']);
    this.#failures = factory.counter(
      'failures_total',
      'Jobs that failed for good, by error class; without failures of earlier steps',
      ['task', 'error'],
    );
  }

  started({ task, queue, waitedMs }: ActiveAttempt): void {
    if (waitedMs !== undefined) this.#waits.observe({ task: this.#nameOf(task), queue }, waitedMs / 1000);
  }

  ended({ task: name, queue }: ActiveAttempt, { end, durationMs, error, isUpstream }: EndedAttempt): void {
    const task = this.#nameOf(name);
    this.#attempts.inc({ task, queue, state: isUpstream ? 'upstream_failed' : end });
    if (isUpstream) return;
    if (end === 'retried') this.#retries.inc({ task });
    if (end === 'failed') this.#failures.inc({ task, error: this.#errors.of(error ?? '') });
    if (end === 'completed' || end === 'failed' || end === 'retried')
      this.#durations.observe({ task, queue }, durationMs / 1000);
  }

  /** Returns `unknown` for tasks that this process does not know: stored names could create any number of series. */
  #nameOf(task: string): string {
    return this.#hasTask(task) ? task : 'unknown';
  }
}

/** Creates metrics with one prefix in one register, and removes them again. */
class MetricFactory {
  readonly #client: PromClient;
  readonly #register: Registry;
  readonly #prefix: string;
  readonly #names: string[] = [];

  constructor(client: PromClient, register: Registry, prefix: string) {
    this.#client = client;
    this.#register = register;
    this.#prefix = prefix;
  }

  counter<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    collect?: (this: Counter<Label>) => void,
  ): Counter<Label> {
    return new this.#client.Counter({ ...this.#common(name, help), labelNames, ...(collect && { collect }) });
  }

  /** @param aggregator How values of several processes are merged. */
  gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    aggregator: Aggregator,
    collect: (this: Gauge<Label>) => void | Promise<void>,
  ): Gauge<Label> {
    return new this.#client.Gauge({ ...this.#common(name, help), labelNames, aggregator, collect });
  }

  histogram<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    buckets: readonly number[],
  ): Histogram<Label> {
    return new this.#client.Histogram({ ...this.#common(name, help), labelNames, buckets: [...buckets] });
  }

  /** Removes the metrics from the register. */
  removeAll(): void {
    for (const name of this.#names) this.#register.removeSingleMetric(name);
  }

  #common(name: string, help: string): { name: string; help: string; registers: Registry[] } {
    const whole = `${this.#prefix}${name}`;
    this.#names.push(whole);
    return { name: whole, help, registers: [this.#register] };
  }
}

/** Options of `prometheusMetrics`. */
export interface MetricsOptions {
  /** Register for the metrics. Default: a new register. */
  register?: Registry | undefined;
  /** Prefix of the names of the metrics. Default `'umbel_'`. */
  prefix?: string | undefined;
  /** Labels of every metric, such as `{ service: 'shop' }`. Not together with `register`, which has its own labels. */
  labels?: Readonly<Record<string, string>> | undefined;
  /** Upper bounds of the histogram buckets, in seconds. Default: from 5 ms to half an hour. */
  buckets?: readonly number[] | undefined;
}

/**
 * Metrics of an app in this process. A worker can serve them: `app.worker({ health: { port, metrics } })`.
 * @example
 * const metrics = prometheusMetrics(app);
 * await app.worker({ health: { port: 9090, metrics } }).start();
 */
export interface Metrics extends MetricsSource {
  /** Returns the metrics in the format of Prometheus. Waits for the store for 2 s at most, and never fails because of it. */
  text(): Promise<string>;
  /** Returns the metrics as plain data, for {@link aggregate} in a process that merges those of several. */
  json(): Promise<readonly MetricJson[]>;
  /** The register: add your own metrics to it, or use it in `collectDefaultMetrics({ register })`. */
  readonly register: Registry;
  /** Stops counting and reading the store, and removes the metrics from the register. Call it before `app.close()`. */
  stop(): void;
}

const OPTIONS: OptionNames<MetricsOptions> = { register: true, prefix: true, labels: true, buckets: true };

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];

/**
 * Creates metrics: counts and times the attempts of all workers of an app in this process from now on, and reads the app's
 * queues from the store at each scrape.
 * @throws {MissingPackageError} if `prom-client` is not installed.
 * @throws {InvalidOptionError} if an option is invalid.
 * @example
 * const metrics = prometheusMetrics(app, { labels: { service: 'shop' } });
 */
export function prometheusMetrics(app: App<never>, options: MetricsOptions = {}): Metrics {
  const core = coreOf(app);
  const client = promClient();
  const { prefix = 'umbel_', labels, buckets = BUCKETS } = checkOptions(options, OPTIONS);
  if (typeof prefix !== 'string' || !/^(?:[A-Za-z_:][\w:]{0,63})?$/.test(prefix))
    throw new InvalidOptionError(
      'prefix',
      'letters, digits, `_` and `:`, at most 64, not beginning with a digit',
      prefix,
    );
  checkBuckets(buckets);
  const register = registerOf(options.register, () => new client.Registry());
  if (labels !== undefined) {
    checkLabels(labels, options.register);
    register.setDefaultLabels({ ...labels });
  }
  const { measured } = core;
  const factory = new MetricFactory(client, register, prefix);
  const attempts = new AttemptMetrics(factory, buckets, measured.hasTask);
  workerMetrics(factory, measured.workers);
  const queues = queueMetrics(factory, measured);
  const removeListener = core.onActivity(attempts);
  return {
    register,
    get contentType() {
      return register.contentType;
    },
    text: () => register.metrics(),
    json: () => register.getMetricsAsJSON(),
    together: (processes) => aggregate(processes as readonly MetricJson[][]).text(), // the results of `json`
    stop() {
      removeListener();
      queues.stop();
      factory.removeAll();
    },
  };
}

function registerOf(register: Registry | undefined, create: () => Registry): Registry {
  if (register === undefined) return create();
  if (typeof register?.registerMetric !== 'function')
    throw new InvalidOptionError('register', 'a Registry of prom-client', register);
  return register;
}

function checkBuckets(buckets: readonly number[]): void {
  const isRising = (value: number, index: number) =>
    Number.isFinite(value) && value > 0 && value > (buckets[index - 1] ?? 0);
  if (!Array.isArray(buckets) || buckets.length === 0 || buckets.length > 100 || !buckets.every(isRising))
    throw new InvalidOptionError('buckets', 'a list of 1 to 100 increasing numbers above zero', buckets);
}

/** Labels that the metrics use. */
const RESERVED_LABELS = new Set(['task', 'queue', 'state', 'error', 'kind', 'le']);

function checkLabels(labels: Readonly<Record<string, string>>, register: Registry | undefined): void {
  if (register !== undefined)
    throw new InvalidOptionError('labels', 'absent with a `register`: use its setDefaultLabels()', labels);
  const isLabel = ([name, value]: [string, unknown]) =>
    /^[A-Za-z_]\w{0,63}$/.test(name) && !RESERVED_LABELS.has(name) && typeof value === 'string';
  if (!isPlainObject(labels) || !Object.entries(labels).every(isLabel))
    throw new InvalidOptionError(
      'labels',
      `an object of label names and texts, without the names ${[...RESERVED_LABELS].join(', ')}`,
      labels,
    );
}

// Metrics of queues, read from the store at each scrape, and of the workers of this process.

/** How long a sample is reused: several scrapers, or several metrics of one scrape, read the same queues. */
const KEPT_MS = 1000;
/** Longest wait for the store. The default timeout of a Prometheus scrape is 10 s. */
const READ_TIMEOUT_MS = 2000;

function queueMetrics(factory: MetricFactory, input: MetricsInput): QueueReader {
  const reader = new QueueReader(input);
  /** Creates a gauge with a value for each queue that could be read. */
  const each = <Label extends string>(
    name: string,
    help: string,
    labels: readonly Label[],
    set: (gauge: Gauge<Label>, sample: QueueSample) => void,
  ) =>
    factory.gauge(name, help, labels, 'max', async function () {
      const samples = await reader.read();
      this.reset();
      for (const sample of samples ?? []) set(this, sample);
    });
  each(
    'queue_jobs',
    'Jobs in the store, by queue and state',
    ['queue', 'state'],
    (gauge, { queue, counts }) => {
      for (const [state, count] of Object.entries(counts)) gauge.set({ queue, state }, count);
    },
  );
  each(
    'queue_oldest_age_seconds',
    'Age of the oldest waiting job among the next in line; without steps and retries',
    ['queue'],
    (gauge, { queue, oldestAgeMs }) => {
      if (oldestAgeMs !== undefined) gauge.set({ queue }, oldestAgeMs / 1000);
    },
  );
  each('queue_paused', 'Whether a queue is paused', ['queue'], (gauge, { queue, isPaused }) => {
    gauge.set({ queue }, isPaused ? 1 : 0);
  });
  factory.gauge('store_up', 'Whether the store answered within 2 s', [], 'min', async function () {
    this.set((await reader.read()) === undefined ? 0 : 1);
  });
  return reader;
}

/** Reads all queues at most once a second. */
class QueueReader {
  readonly #input: MetricsInput;
  #samples: Promise<readonly QueueSample[] | undefined> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #isReading = false;
  #isStopped = false;

  constructor(input: MetricsInput) {
    this.#input = input;
  }

  /** Returns the samples; undefined if the store does not answer in time. */
  read(): Promise<readonly QueueSample[] | undefined> {
    if (this.#isStopped) return Promise.resolve(undefined);
    const now = performance.now();
    if (this.#samples === undefined || now - this.#readAt >= KEPT_MS) {
      this.#readAt = now;
      const samples = this.#read();
      this.#samples = samples;
      // Concurrent reads share this result, which is reused from its arrival on.
      void samples.then(() => {
        this.#readAt = performance.now();
      });
    }
    return this.#samples;
  }

  /** Reads the store no more: a read would connect again. */
  stop(): void {
    this.#isStopped = true;
  }

  async #read(): Promise<readonly QueueSample[] | undefined> {
    if (this.#isReading) return undefined; // the last read is still pending: another command would wait too
    this.#isReading = true;
    const { store, clock, queues } = this.#input;
    let timer: NodeJS.Timeout | undefined;
    const isLate = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), READ_TIMEOUT_MS);
    });
    const reading = Promise.resolve(store.timeKnown()).then(() => {
      const now = clock.now();
      return Promise.all(queues().map((queue) => sampleQueue(store, queue, now)));
    });
    try {
      return await Promise.race([reading, isLate]);
    } catch {
      return undefined; // `store_up` reports it
    } finally {
      clearTimeout(timer);
      const over = () => {
        this.#isReading = false;
      };
      reading.then(over, over);
    }
  }
}

const REPAIRS = ['started', 'lost', 'ended'] as const satisfies readonly (keyof RepairCounts)[];

function workerMetrics(factory: MetricFactory, workers: ReadonlySet<AppWorker>): void {
  factory.gauge('active', 'Running attempts', ['queue'], 'sum', function () {
    this.reset();
    for (const { active, queues } of workers) {
      for (const queue of queues) this.inc({ queue }, 0);
      for (const { queue } of active) this.inc({ queue });
    }
  });
  factory.gauge('concurrency', 'Maximum of running attempts', ['queue'], 'sum', function () {
    this.reset();
    for (const { concurrency } of workers)
      for (const [queue, count] of Object.entries(concurrency)) this.inc({ queue }, count);
  });
  const reported = new WeakMap<AppWorker, RepairCounts>();
  factory.counter('repairs_total', 'Jobs that waited for nothing and were repaired', ['kind'], function () {
    for (const worker of workers) {
      const { repairs } = worker;
      for (const kind of REPAIRS) this.inc({ kind }, repairs[kind] - (reported.get(worker)?.[kind] ?? 0));
      reported.set(worker, repairs);
    }
  });
  let last = nodePerformance.eventLoopUtilization();
  factory.gauge(
    'event_loop_utilization',
    'Share of the time since the last scrape in which the event loop was busy, from 0 to 1',
    [],
    'average',
    function () {
      const now = nodePerformance.eventLoopUtilization();
      this.set(nodePerformance.eventLoopUtilization(now, last).utilization);
      last = now;
    },
  );
}

import type * as Client from 'prom-client';
import type { Aggregator, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type App, coreOf } from '../app/app.js';
import { InvalidOptionError } from '../base/errors.js';
import { optionalPeer } from '../base/modules.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import type { ActiveAttempt } from '../control/answers.js';
import type { ActivityListener, EndedAttempt } from '../worker/activity.js';
import type { MetricsSource } from '../worker/health.js';
import { queueMetrics, workerMetrics } from './queues.js';

export type PromClient = typeof Client;

/** @throws {MissingPackageError} if it is not installed. */
export function promClient(): PromClient {
  return optionalPeer('prom-client', 'Metrics (@umbel/core/prometheus)', bundled) as PromClient;
}

/** In a bundle. In the files of this package there is no `require`; nor is there a package that was left out. */
function bundled(): unknown {
  try {
    return require('prom-client');
  } catch {
    return undefined;
  }
}

/** A metric as plain data, with its values: what prom-client's `getMetricsAsJSON` gives. It may be sent as JSON. */
export interface MetricJson {
  readonly name: string;
  readonly help: string;
  readonly type: unknown;
  readonly aggregator: unknown;
}

/**
 * The metrics of several processes as one: counters, histograms and what workers have under way are summed; of queues,
 * which every process reads from the store, the largest counts.
 * @param processes What `metrics.json()` has given in each.
 * @throws {MissingPackageError} if `prom-client` is not installed.
 */
export function aggregate(processes: readonly (readonly MetricJson[])[]): MetricsSource {
  const { AggregatorRegistry } = promClient();
  const register = AggregatorRegistry.aggregate(processes as unknown as object[]); // lists, whatever its type says
  return { contentType: register.contentType, text: () => register.metrics() };
}

/** Names that come from handlers, as values of a label: each one makes another series, which costs memory for ever. */
export class BoundedNames {
  readonly #known = new Set<string>();
  readonly #most: number;

  /** @param most How many different names are let through; the rest are `other`. */
  constructor(most: number) {
    this.#most = most;
  }

  /** The name, or `other` for one that is no class's name, or comes after too many. */
  of(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= this.#most || !/^[A-Za-z_$][\w$]{0,63}$/.test(name)) return 'other';
    this.#known.add(name);
    return name;
  }
}

// Metrics of attempts, as they begin and end in this process.

/** Different classes of errors that are told apart. */
const ERROR_NAMES = 50;

export class AttemptMetrics implements ActivityListener {
  readonly #attempts: Counter<'task' | 'queue' | 'state'>;
  readonly #durations: Histogram<'task' | 'queue'>;
  readonly #waits: Histogram<'task' | 'queue'>;
  readonly #retries: Counter<'task'>;
  readonly #failures: Counter<'task' | 'error'>;
  readonly #errors = new BoundedNames(ERROR_NAMES);
  readonly #hasTask: (name: string) => boolean;

  constructor(making: Making, buckets: readonly number[], hasTask: (name: string) => boolean) {
    this.#hasTask = hasTask;
    this.#attempts = making.counter('attempts_total', 'Attempts that have ended, by how', [
      'task',
      'queue',
      'state',
    ]);
    this.#durations = making.histogram(
      'attempt_duration_seconds',
      'How long attempts took whose handler has run, however they ended',
      ['task', 'queue'],
      buckets,
    );
    this.#waits = making.histogram(
      'wait_seconds',
      'How long jobs waited for a worker, until their first attempt, since they were sent and their delay was over; ' +
        'without steps that waited for others',
      ['task', 'queue'],
      buckets,
    );
    this.#retries = making.counter('retries_total', 'Attempts that are followed by another', ['task']);
    this.#failures = making.counter(
      'failures_total',
      'Jobs that have failed for good by themselves, by class of error',
      ['task', 'error'],
    );
  }

  started({ task, queue, waitedMs }: ActiveAttempt): void {
    if (waitedMs !== undefined) this.#waits.observe({ task: this.#nameOf(task), queue }, waitedMs / 1000);
  }

  ended({ task: given, queue }: ActiveAttempt, { end, durationMs, error, isUpstream }: EndedAttempt): void {
    const task = this.#nameOf(given);
    this.#attempts.inc({ task, queue, state: isUpstream ? 'upstream_failed' : end });
    if (isUpstream) return;
    if (end === 'retried') this.#retries.inc({ task });
    if (end === 'failed') this.#failures.inc({ task, error: this.#errors.of(error ?? '') });
    if (end === 'completed' || end === 'failed' || end === 'retried')
      this.#durations.observe({ task, queue }, durationMs / 1000);
  }

  /** The task's, if this process knows it: whoever can write to the store could make up any number of names. */
  #nameOf(task: string): string {
    return this.#hasTask(task) ? task : 'unknown';
  }
}

// Makes metrics in one register, under one prefix, and takes them out again.

export class Making {
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

  /** @param aggregator How the values of several processes become one. */
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

  /** Takes all of them out of the register. */
  removeAll(): void {
    for (const name of this.#names) this.#register.removeSingleMetric(name);
  }

  #common(name: string, help: string): { name: string; help: string; registers: Registry[] } {
    const whole = `${this.#prefix}${name}`;
    this.#names.push(whole);
    return { name: whole, help, registers: [this.#register] };
  }
}

export interface MetricsOptions {
  /** Where the metrics are registered. Default: a register of their own. */
  register?: Registry | undefined;
  /** What their names begin with. Default `'umbel_'`. */
  prefix?: string | undefined;
  /** Labels of every metric, such as `{ service: 'shop' }`. Only for a register of their own; another has its own ones. */
  labels?: Readonly<Record<string, string>> | undefined;
  /** Upper bounds of the histograms, in seconds. Default from 5 ms to half an hour. */
  buckets?: readonly number[] | undefined;
}

/** Metrics of an app in this process; can be given to a worker: `app.worker({ health: { port, metrics } })`. */
export interface Metrics extends MetricsSource {
  /** As Prometheus reads them. Never fails because of the store, and waits 2 s for it at most. */
  text(): Promise<string>;
  /** As plain data, for {@link aggregate} in a process that collects those of several. */
  json(): Promise<readonly MetricJson[]>;
  /** Where they are registered: for metrics of your own beside them, and `collectDefaultMetrics({ register })`. */
  readonly register: Registry;
  /** Counts no more, asks the store no more, and takes the metrics out of their register. To be called before `app.close()`. */
  stop(): void;
}

const OPTIONS: OptionNames<MetricsOptions> = { register: true, prefix: true, labels: true, buckets: true };

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];

/**
 * Counts and times the attempts of all workers of an app in this process, from now on, and reads the app's queues from
 * the store when it is asked.
 * @throws {MissingPackageError} if `prom-client` is not installed.
 * @throws {InvalidOptionError} if an option has a value it cannot have.
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
  const making = new Making(client, register, prefix);
  const attempts = new AttemptMetrics(making, buckets, measured.hasTask);
  workerMetrics(making, measured.workers);
  const queues = queueMetrics(making, measured);
  const forget = core.onActivity(attempts);
  return {
    register,
    get contentType() {
      return register.contentType;
    },
    text: () => register.metrics(),
    json: () => register.getMetricsAsJSON(),
    together: (processes) => aggregate(processes as readonly MetricJson[][]).text(), // what `json` has given in each
    stop() {
      forget();
      queues.stop();
      making.removeAll();
    },
  };
}

function registerOf(given: Registry | undefined, made: () => Registry): Registry {
  if (given === undefined) return made();
  if (typeof given?.registerMetric !== 'function')
    throw new InvalidOptionError('register', 'a Registry of prom-client', given);
  return given;
}

function checkBuckets(buckets: readonly number[]): void {
  const isRising = (value: number, index: number) =>
    Number.isFinite(value) && value > 0 && value > (buckets[index - 1] ?? 0);
  if (!Array.isArray(buckets) || buckets.length === 0 || buckets.length > 100 || !buckets.every(isRising))
    throw new InvalidOptionError('buckets', 'a list of 1 to 100 numbers above zero that rise', buckets);
}

/** Those that the metrics have themselves. */
const OWN = new Set(['task', 'queue', 'state', 'error', 'kind', 'le']);

function checkLabels(labels: Readonly<Record<string, string>>, register: Registry | undefined): void {
  if (register !== undefined)
    throw new InvalidOptionError('labels', 'absent with a `register`: use its setDefaultLabels()', labels);
  const isLabel = ([name, value]: [string, unknown]) =>
    /^[A-Za-z_]\w{0,63}$/.test(name) && !OWN.has(name) && typeof value === 'string';
  if (!isPlainObject(labels) || !Object.entries(labels).every(isLabel))
    throw new InvalidOptionError(
      'labels',
      `text by names of labels other than ${[...OWN].join(', ')}`,
      labels,
    );
}

import type { Registry } from 'prom-client';
import { type App, coreOf } from '../app.js';
import { InvalidOptionError } from '../errors.js';
import type { MetricsSource } from '../running/worker/health.js';
import { checkOptions, type OptionNames } from '../tasks/known-options.js';
import { isPlainObject } from '../wire/plain-object.js';
import { aggregate, type MetricJson } from './aggregate.js';
import { AttemptMetrics } from './attempts.js';
import { promClient } from './client.js';
import { Making } from './making.js';
import { queueMetrics } from './queues.js';
import { workerMetrics } from './workers.js';

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

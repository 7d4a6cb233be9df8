import type { MetricsSource } from '../running/worker/health.js';
import { promClient } from './client.js';

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

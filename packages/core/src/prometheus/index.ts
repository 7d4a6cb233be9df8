/** Metrics for Prometheus with prom-client, an optional peer dependency: `npm install prom-client`. */
export {
  aggregate,
  type MetricJson,
  type Metrics,
  type MetricsOptions,
  prometheusMetrics,
} from './metrics.js';

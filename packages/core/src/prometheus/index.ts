/** Metrics for Prometheus, made with prom-client, which is an optional peer: `npm install prom-client`. */
export {
  aggregate,
  type MetricJson,
  type Metrics,
  type MetricsOptions,
  prometheusMetrics,
} from './metrics.js';

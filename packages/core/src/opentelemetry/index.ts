/** Traces with OpenTelemetry, an optional peer dependency: `npm install @opentelemetry/api`. */

export { senderContext } from './api.js';
export { ATTRIBUTE, type TracingOptions, tracing } from './tracing.js';

/** Traces with OpenTelemetry, which is an optional peer: `npm install @opentelemetry/api`. */

export { senderContext } from './api.js';
export { ATTRIBUTE, type TracingOptions, tracing } from './tracing.js';

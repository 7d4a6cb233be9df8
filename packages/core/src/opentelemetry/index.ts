/** Traces with OpenTelemetry, an optional peer dependency: `npm install @opentelemetry/api`. */

export { ATTRIBUTE, senderContext, type TracingOptions, tracing } from './tracing.js';

/** Traces with OpenTelemetry, which is an optional peer: `npm install @opentelemetry/api`. */
export { ATTRIBUTE } from './attributes.js';
export { senderContext } from './sender.js';
export { type TracingOptions, tracing } from './tracing.js';

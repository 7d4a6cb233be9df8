/** A span's place as text, as W3C's Trace Context writes it: what is stored does not depend on the app's propagator. */
import type { SpanContext } from '@opentelemetry/api';

export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`;
}

/** The place of a span of another process; the text has been checked when it was read. */
export function spanContextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

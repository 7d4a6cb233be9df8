import type * as Api from '@opentelemetry/api';
import type { Context, SpanContext } from '@opentelemetry/api';
import { optionalPeer } from '../base/modules.js';
import type { TaskContext } from '../task/context.js';

export type OpenTelemetry = typeof Api;

let loaded: OpenTelemetry | undefined;

/** OpenTelemetry's API. @throws {MissingPackageError} if it is not installed. */
export function openTelemetry(): OpenTelemetry {
  loaded ??= optionalPeer(
    '@opentelemetry/api',
    'Tracing (@umbel/core/opentelemetry)',
    bundled,
  ) as OpenTelemetry;
  return loaded;
}

/** In a bundle. In the files of this package there is no `require`; nor is there a package that was left out. */
function bundled(): unknown {
  try {
    return require('@opentelemetry/api');
  } catch {
    return undefined;
  }
}

// A span's place as text, as W3C's Trace Context writes it: what is stored does not depend on the app's propagator.

export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`;
}

/** The place of a span of another process; the text has been checked when it was read. */
export function spanContextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

/**
 * The context that a call, or the composition it belongs to, was sent in: its trace and its baggage. Hooks are called
 * outside of the attempt's span; what they log belongs to the same trace with `context.with(senderContext(ctx), …)`.
 * @throws {MissingPackageError} if `@opentelemetry/api` is not installed.
 */
export function senderContext({ headers }: Pick<TaskContext, 'headers'>): Context {
  const { propagation, ROOT_CONTEXT } = openTelemetry();
  // Not below the active context, which is that of whoever started the worker.
  return propagation.extract(ROOT_CONTEXT, headers);
}

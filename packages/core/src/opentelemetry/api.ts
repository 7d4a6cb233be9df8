/** Loads OpenTelemetry's API, and converts between span contexts and their stored form (W3C `traceparent`). */

import type * as Api from '@opentelemetry/api';
import type { Context, SpanContext } from '@opentelemetry/api';
import { optionalPeer } from '../base/modules.js';
import type { TaskContext } from '../task/context.js';

export type OpenTelemetry = typeof Api;

let loaded: OpenTelemetry | undefined;

/** Returns OpenTelemetry's API. @throws {MissingPackageError} if it is not installed. */
export function openTelemetry(): OpenTelemetry {
  loaded ??= optionalPeer(
    '@opentelemetry/api',
    'Tracing (@umbel/core/opentelemetry)',
    bundled,
  ) as OpenTelemetry;
  return loaded;
}

/** Loads the package inside a bundle. Without a bundler there is no `require`, and an excluded package is missing. */
function bundled(): unknown {
  try {
    return require('@opentelemetry/api');
  } catch {
    return undefined;
  }
}

/** Returns the `traceparent` of a span. The stored form does not depend on the app's propagator. */
export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`;
}

/** Returns the context of a span of another process. The text was checked when it was read. */
export function spanContextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

/**
 * Returns the context in which a call or its workflow was sent, with trace and baggage. Hooks run outside the attempt's
 * span: with `context.with(senderContext(ctx), …)` their spans and logs belong to the same trace.
 * @throws {MissingPackageError} if `@opentelemetry/api` is not installed.
 * @example
 * const hooks: Hooks = {
 *   failure: (ctx) => context.with(senderContext(ctx), () => console.error('failed')),
 * };
 */
export function senderContext({ headers }: Pick<TaskContext, 'headers'>): Context {
  const { propagation, ROOT_CONTEXT } = openTelemetry();
  // Not below the active context, which belongs to the code that started the worker.
  return propagation.extract(ROOT_CONTEXT, headers);
}

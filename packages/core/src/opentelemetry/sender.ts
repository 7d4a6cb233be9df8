import type { Context } from '@opentelemetry/api';
import type { TaskContext } from '../running/context.js';
import { openTelemetry } from './api.js';

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

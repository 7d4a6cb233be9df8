/** What traces the attempts of an app: middleware that knows more of an attempt than others, see `opentelemetry/`. */
import type { ErrorRecord } from '../errors.js';
import { NO_LINKS, type TraceLinks } from '../flow/links.js';
import type { AnyMiddleware } from '../tasks/middleware.js';
import type { Envelope } from '../wire/envelope.js';
import { nameOf } from '../wire/error-fields.js';
import { recordError, toError } from '../wire/error-record.js';
import { NO_MASK } from '../wire/masking.js';
import type { Attempt } from './attempt.js';
import type { TaskContext } from './context.js';
import type { ActiveJob } from './job.js';
import type { ExecutorParts } from './parts.js';
import { ComeBack, ReplaceRequest, Skip, StoppedEarly, StopRequest, WaitForChildren } from './signals.js';
import { takenBy } from './taken.js';

/** Where such middleware holds it. */
export const TRACING: unique symbol = Symbol('umbel.tracing');

export interface Tracing {
  /** Round an attempt as a whole, from its input's validation to that of its result. */
  around(attempt: TracedAttempt, run: () => Promise<unknown>): Promise<unknown>;
  /** Whether what goes on under these headers is recorded, so that it is worth to find out what it follows. */
  isRecorded(headers: Readonly<Record<string, string>>): boolean;
}

/** An attempt as its tracing sees it. */
export interface TracedAttempt {
  readonly context: TaskContext;
  /** The spans of the steps whose results it took. Reads their jobs. */
  taken(): Promise<TraceLinks>;
  /** Tells the attempt's own span, which is left with the job for those that take its result. */
  leave(traceparent: string): void;
  /** What may be shown of what was thrown; undefined if it is no error: the job waits, or its chain has ended. */
  errorOf(thrown: unknown): Pick<ErrorRecord, 'name' | 'message' | 'stack'> | undefined;
}

export function tracingOf(middleware: readonly AnyMiddleware[]): Tracing | undefined {
  for (const layer of middleware) if (TRACING in layer) return layer[TRACING] as Tracing; // only such middleware has it
  return undefined;
}

/** An attempt for its tracing. */
export function tracedAttempt({ sealer, store }: ExecutorParts, attempt: Attempt): TracedAttempt {
  return {
    context: attempt.context,
    taken: () => takenBy(store, attempt.job, attempt.envelope),
    leave(traceparent) {
      attempt.trace = traceparent;
    },
    errorOf(thrown) {
      if (SIGNALS.some((signal) => thrown instanceof signal)) return undefined;
      const error = toError(thrown);
      // Where values are encoded on their way to the store, they are not to leave by another way.
      if (sealer.isActive) return { name: nameOf(error), message: `${nameOf(error)} (encoded with the job)` };
      return (attempt.reports.mask ?? NO_MASK).error(recordError(error));
    },
  };
}

const SIGNALS = [ComeBack, ReplaceRequest, Skip, StoppedEarly, StopRequest, WaitForChildren];

/**
 * The spans that what the job adds, for the values that it took, is to be linked to; undefined where nothing is
 * recorded. Reads the jobs that it took them from.
 */
export async function linksFor(
  { middleware, store, onError }: ExecutorParts,
  job: ActiveJob,
  envelope: Envelope,
  limit?: number,
): Promise<TraceLinks | undefined> {
  if (tracingOf(middleware)?.isRecorded(envelope.headers ?? {}) !== true) return undefined;
  try {
    return await takenBy(store, job, envelope, limit);
  } catch (thrown) {
    onError(new Error('what is added to a run cannot be linked to the spans before it', { cause: thrown }));
    return NO_LINKS;
  }
}

/** Leaves the span of an attempt with its job, if others may take its result. */
export function leaveTrace(job: ActiveJob, { run }: Envelope, { trace }: Attempt): Promise<void> | undefined {
  if (trace === undefined || run === undefined) return undefined;
  // The job's outcome is what counts; its commit tells if the store is away.
  return job.save({ trace }).catch(() => {});
}

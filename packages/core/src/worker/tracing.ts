/** What traces the attempts of an app: middleware that knows more of an attempt than others, see `opentelemetry/`. */

import type { ErrorRecord } from '../base/errors.js';
import { nameOf } from '../codec/error-fields.js';
import { recordError, toError } from '../codec/error-record.js';
import { NO_MASK } from '../codec/masking.js';
import {
  type Envelope,
  isEnvelope,
  isTraceparent,
  MAX_LINKS,
  NO_LINKS,
  type TraceLinks,
} from '../job/envelope.js';
import type { ActiveJob, JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, jobIdOf } from '../job/job-tree.js';
import { isNode } from '../job/tree-checks.js';
import { endedChildrenCount, storedDataOf } from '../store/read.js';
import { childrenOf, type JobAccess } from '../store/tree.js';
import type { TaskContext } from '../task/context.js';
import type { AnyMiddleware } from '../task/middleware.js';
import { PROBE } from '../workflow/join.js';
import type { Attempt } from './attempt.js';
import type { ExecutorParts } from './parts.js';
import { ChainEnded, EndChain, ReplaceRequest, Snooze, StopRequest, WaitForChildren } from './signals.js';

// Which spans the values of a job come from: of the steps below it, past the jobs that Umbel adds between.

/** Jobs that are read at the same time. */
const READ_TOGETHER = 32;
/** Jobs that are read at most, whatever the store says. */
const MAX_READS = 1000;

/** The spans of the steps whose results a job took, which it has read; in the order of their places in the run. */
export async function traceLinksFor(
  store: JobAccess,
  job: Pick<ActiveJob, 'endedChildren'>,
  { links = NO_LINKS, after }: Envelope,
  limit: number = MAX_LINKS,
): Promise<TraceLinks> {
  const traces = [...links.traces];
  let { count } = links;
  if (after !== undefined) {
    const walk = new Walk(store, limit);
    await walk.through([...job.endedChildren].map(([id, queue]) => ({ id, queue })));
    traces.push(...walk.traces);
    count += walk.count;
  }
  return { traces: traces.slice(0, limit), count };
}

/** Goes down from a job to the nearest traced ones. */
class Walk {
  readonly traces: string[] = [];
  count = 0;
  readonly #store: JobAccess;
  readonly #limit: number;
  #reads = 0;

  constructor(store: JobAccess, limit: number) {
    this.#store = store;
    this.#limit = limit;
  }

  async through(children: readonly JobRef[]): Promise<void> {
    const givers = giversOf(children);
    for (let start = 0; start < givers.length; start += READ_TOGETHER) {
      const some = givers.slice(start, start + READ_TOGETHER);
      if (this.traces.length >= this.#limit || this.#reads + some.length > MAX_READS) {
        await this.#countRest(givers.slice(start));
        return;
      }
      this.#reads += some.length;
      const found = await Promise.all(some.map((place) => this.#read(place)));
      for (const each of found) {
        if ('trace' in each) {
          this.traces.push(each.trace);
          this.count += 1;
        } else await this.through(each.below);
      }
    }
  }

  /** Those that are not linked: steps, and what large groups have below their slices. */
  async #countRest(places: readonly JobRef[]): Promise<void> {
    const counts = places.map(async ({ queue, id }) => {
      if (queue !== INTERNAL_QUEUE) return 1;
      return endedChildrenCount(this.#store, { queue, id });
    });
    for (const counted of await Promise.all(counts)) this.count += counted;
  }

  /** The span of a step, or those that stand for it: below a job of Umbel's, or one that did not run itself. */
  async #read(place: JobRef): Promise<{ trace: string } | { below: readonly JobRef[] }> {
    const { queue, id } = place;
    if (queue === INTERNAL_QUEUE) return { below: await this.#endedBelow(place) };
    const data = dataOf(await storedDataOf(this.#store, place));
    if (data === undefined) return { below: [] };
    const { replacement, run = id, trace } = data;
    if (replacement !== undefined && isNode(replacement))
      return { below: [{ queue: replacement.queue, id: jobIdOf(run, replacement.path) }] };
    return isTraceparent(trace) ? { trace } : { below: await this.#endedBelow(place) };
  }

  async #endedBelow(place: JobRef): Promise<JobRef[]> {
    if (this.#reads >= MAX_READS) return [];
    const below: JobRef[] = [];
    for await (const { id, queue, reason } of childrenOf(this.#store, place, ['processed', 'ignored'])) {
      const isLoser = id.endsWith('!') && reason !== PROBE.won;
      if (!isLoser) below.push({ id, queue });
      if (below.length > MAX_READS) break;
    }
    return below;
  }
}

/** Of a job's children those that gave it values, in the order of their places. */
function giversOf(children: readonly JobRef[]): JobRef[] {
  const ids = new Set(children.map(({ id }) => id));
  // A step that has failed and was replaced by the other one of its fallback.
  const steps = children.filter(({ id }) => !ADDS.test(id) && !(id.endsWith('^') && ids.has(`${id}b`)));
  // What a fan-out has added gives the values; only where there is nothing it has given its own on.
  const givers = steps.length > 0 ? steps : children.filter(({ id }) => !id.endsWith('-feed'));
  return givers.toSorted((a, b) => BY_PLACE.compare(a.id, b.id));
}

const ADDS = /-(?:fan|feed)$/;
const BY_PLACE = new Intl.Collator('en', { numeric: true });

function dataOf(text: string | undefined): Partial<Envelope> | undefined {
  try {
    const data: unknown = text === undefined ? undefined : JSON.parse(text);
    return isEnvelope(data) ? (data as Envelope) : undefined; // what is read of it is checked
  } catch {
    return undefined; // a worker fails it with the reason
  }
}

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
    taken: () => traceLinksFor(store, attempt.job, attempt.envelope),
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

const SIGNALS = [Snooze, ReplaceRequest, ChainEnded, EndChain, StopRequest, WaitForChildren];

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
    return await traceLinksFor(store, job, envelope, limit);
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

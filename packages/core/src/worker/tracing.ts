/**
 * Tracing of attempts: the interface for tracing middleware (`opentelemetry/`), and the links from a job to the spans of the
 * steps whose results it uses. Links skip the internal jobs between tasks.
 */

import type { ErrorRecord } from '../base/errors.js';
import { nameOf } from '../codec/error-fields.js';
import { recordError, toError } from '../codec/error-record.js';
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
import {
  ChainEnded,
  EndChain,
  ReplaceRequest,
  Snooze,
  StopRequest,
  WaitForChildren,
} from './control-flow.js';
import type { ExecutorDependencies } from './dependencies.js';

/** Number of jobs that are read at the same time. */
const READ_TOGETHER = 32;
/** Maximum number of jobs that are read. */
const MAX_READS = 1000;

/** Returns the spans of the steps whose results a job uses, in the order of their positions in the run. */
async function traceLinksFor(
  store: JobAccess,
  job: Pick<ActiveJob, 'endedChildren'>,
  { links = NO_LINKS, after }: Envelope,
  limit: number = MAX_LINKS,
): Promise<TraceLinks> {
  const traces = [...links.traces];
  let { count } = links;
  if (after !== undefined) {
    const walk = new TraceWalk(store, limit);
    await walk.through([...job.endedChildren].map(([id, queue]) => ({ id, queue })));
    traces.push(...walk.traces);
    count += walk.count;
  }
  return { traces: traces.slice(0, limit), count };
}

/** Descends from a job to the nearest traced jobs. */
class TraceWalk {
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
    const sources = sourcesOf(children);
    for (let start = 0; start < sources.length; start += READ_TOGETHER) {
      const some = sources.slice(start, start + READ_TOGETHER);
      if (this.traces.length >= this.#limit || this.#reads + some.length > MAX_READS) {
        await this.#countRest(sources.slice(start));
        return;
      }
      this.#reads += some.length;
      const found = await Promise.all(some.map((job) => this.#read(job)));
      for (const each of found) {
        if ('trace' in each) {
          this.traces.push(each.trace);
          this.count += 1;
        } else await this.through(each.below);
      }
    }
  }

  /** Counts the jobs that are not linked: steps, and the members of large groups below their slices. */
  async #countRest(jobs: readonly JobRef[]): Promise<void> {
    const counts = jobs.map(async ({ queue, id }) => {
      if (queue !== INTERNAL_QUEUE) return 1;
      return endedChildrenCount(this.#store, { queue, id });
    });
    for (const counted of await Promise.all(counts)) this.count += counted;
  }

  /** Returns the span of a step; for an internal job, or a step that did not run, the jobs below it. */
  async #read(job: JobRef): Promise<{ trace: string } | { below: readonly JobRef[] }> {
    const { queue, id } = job;
    if (queue === INTERNAL_QUEUE) return { below: await this.#endedBelow(job) };
    const data = dataOf(await storedDataOf(this.#store, job));
    if (data === undefined) return { below: [] };
    const { replacement, run = id, trace } = data;
    if (replacement !== undefined && isNode(replacement))
      return { below: [{ queue: replacement.queue, id: jobIdOf(run, replacement.path) }] };
    return isTraceparent(trace) ? { trace } : { below: await this.#endedBelow(job) };
  }

  async #endedBelow(job: JobRef): Promise<JobRef[]> {
    if (this.#reads >= MAX_READS) return [];
    const below: JobRef[] = [];
    for await (const { id, queue, reason } of childrenOf(this.#store, job, ['processed', 'ignored'])) {
      const isLoser = id.endsWith('!') && reason !== PROBE.won;
      if (!isLoser) below.push({ id, queue });
      if (below.length > MAX_READS) break;
    }
    return below;
  }
}

/** Returns the children that supplied values to a job, in the order of their positions. */
function sourcesOf(children: readonly JobRef[]): JobRef[] {
  const ids = new Set(children.map(({ id }) => id));
  // Without a failed step that its fallback replaced.
  const steps = children.filter(({ id }) => !ADDS.test(id) && !(id.endsWith('^') && ids.has(`${id}b`)));
  // The members of a fan-out supply the values; without members the fan-out passed its own value on.
  const sources = steps.length > 0 ? steps : children.filter(({ id }) => !id.endsWith('-feed'));
  return sources.toSorted((a, b) => BY_POSITION.compare(a.id, b.id));
}

const ADDS = /-(?:fan|feed)$/;
const BY_POSITION = new Intl.Collator('en', { numeric: true });

function dataOf(text: string | undefined): Partial<Envelope> | undefined {
  try {
    const data: unknown = text === undefined ? undefined : JSON.parse(text);
    return isEnvelope(data) ? (data as Envelope) : undefined; // each field is checked when it is read
  } catch {
    return undefined; // the job's worker fails it with the reason
  }
}

/** Property of tracing middleware that holds its `Tracing`. */
export const TRACING: unique symbol = Symbol('umbel.tracing');

export interface Tracing {
  /** Wraps a whole attempt, from the validation of its input to that of its result. */
  around(attempt: TracedAttempt, run: () => Promise<unknown>): Promise<unknown>;
  /** Whether spans with these headers are recorded. If not, links need not be read. */
  isRecorded(headers: Readonly<Record<string, string>>): boolean;
}

export interface TracedAttempt {
  readonly context: TaskContext;
  /** Reads the spans of the steps whose results the attempt uses. */
  readLinks(): Promise<TraceLinks>;
  /** Sets the attempt's span. It is stored with the job, so that jobs that use its result can link to it. */
  setTrace(traceparent: string): void;
  /** Returns the error to record; undefined for a control-flow exception: the job waits, or its chain has ended. */
  errorOf(thrown: unknown): Pick<ErrorRecord, 'name' | 'message' | 'stack'> | undefined;
}

export function tracingOf(middleware: readonly AnyMiddleware[]): Tracing | undefined {
  for (const layer of middleware) if (TRACING in layer) return layer[TRACING] as Tracing; // only tracing middleware has it
  return undefined;
}

export function tracedAttempt({ sealer, store }: ExecutorDependencies, attempt: Attempt): TracedAttempt {
  return {
    context: attempt.context,
    readLinks: () => traceLinksFor(store, attempt.job, attempt.envelope),
    setTrace(traceparent) {
      attempt.trace = traceparent;
    },
    errorOf(thrown) {
      if (CONTROL_FLOW.some((exception) => thrown instanceof exception)) return undefined;
      const error = toError(thrown);
      // Values that are encoded for the store must not leave the process in a trace.
      if (sealer.isActive) return { name: nameOf(error), message: `${nameOf(error)} (encoded with the job)` };
      return attempt.mask.error(recordError(error));
    },
  };
}

const CONTROL_FLOW = [Snooze, ReplaceRequest, ChainEnded, EndChain, StopRequest, WaitForChildren];

/**
 * Returns the spans to which jobs that this job adds are linked; undefined where nothing is recorded. It reads the jobs
 * whose results this job uses.
 */
export async function linksFor(
  { middleware, store, onError }: ExecutorDependencies,
  job: ActiveJob,
  envelope: Envelope,
  limit?: number,
): Promise<TraceLinks | undefined> {
  if (tracingOf(middleware)?.isRecorded(envelope.headers ?? {}) !== true) return undefined;
  try {
    return await traceLinksFor(store, job, envelope, limit);
  } catch (thrown) {
    onError(new Error('cannot link added jobs to the spans of earlier steps', { cause: thrown }));
    return NO_LINKS;
  }
}

/** Stores the span of an attempt with its job, if other jobs may use its result. */
export function storeTrace(job: ActiveJob, { run }: Envelope, { trace }: Attempt): Promise<void> | undefined {
  if (trace === undefined || run === undefined) return undefined;
  // Only the outcome matters; storing it reports an outage.
  return job.save({ trace }).catch(() => {});
}

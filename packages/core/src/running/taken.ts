/** Which spans the values of a job come from: of the steps below it, past the jobs that Umbel adds between. */
import { childrenOf, type JobAccess, type JobPlace } from '../bullmq/tree.js';
import { isTraceparent, MAX_LINKS, NO_LINKS, type TraceLinks } from '../flow/links.js';
import { PROBE } from '../flow/needed.js';
import { INTERNAL_QUEUE, jobIdOf } from '../flow/node.js';
import { isNode } from '../flow/shape.js';
import { type Envelope, isEnvelope } from '../wire/envelope.js';
import type { ActiveJob } from './job.js';

/** Jobs that are read at the same time. */
const READ_TOGETHER = 32;
/** Jobs that are read at most, whatever the store says. */
const MAX_READS = 1000;

/** The spans of the steps whose results a job took, which it has read; in the order of their places in the run. */
export async function takenBy(
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

  async through(children: readonly JobPlace[]): Promise<void> {
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
  async #countRest(places: readonly JobPlace[]): Promise<void> {
    const counts = places.map(async ({ queue, id }) => {
      if (queue !== INTERNAL_QUEUE) return 1;
      const kinds = await this.#store.on(queue, (bull) =>
        bull.getBackend().getDependencyCounts(id, ['processed', 'ignored']),
      );
      return kinds.reduce((sum, kind) => sum + kind, 0);
    });
    for (const counted of await Promise.all(counts)) this.count += counted;
  }

  /** The span of a step, or those that stand for it: below a job of Umbel's, or one that did not run itself. */
  async #read(place: JobPlace): Promise<{ trace: string } | { below: readonly JobPlace[] }> {
    const { queue, id } = place;
    if (queue === INTERNAL_QUEUE) return { below: await this.#endedBelow(place) };
    const stored = await this.#store.on(queue, (bull) => bull.getBackend().getJobData(id));
    const data = dataOf(stored?.data);
    if (data === undefined) return { below: [] };
    const { replacement, run = id, trace } = data;
    if (replacement !== undefined && isNode(replacement))
      return { below: [{ queue: replacement.queue, id: jobIdOf(run, replacement.path) }] };
    return isTraceparent(trace) ? { trace } : { below: await this.#endedBelow(place) };
  }

  async #endedBelow(place: JobPlace): Promise<JobPlace[]> {
    if (this.#reads >= MAX_READS) return [];
    const below: JobPlace[] = [];
    for await (const { id, queue, reason } of childrenOf(this.#store, place, ['processed', 'ignored'])) {
      const isLoser = id.endsWith('!') && reason !== PROBE.won;
      if (!isLoser) below.push({ id, queue });
      if (below.length > MAX_READS) break;
    }
    return below;
  }
}

/** Of a job's children those that gave it values, in the order of their places. */
function giversOf(children: readonly JobPlace[]): JobPlace[] {
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

/** `app.jobs` and `app.runs`. */
import { isJobId } from '../bullmq/job-id.js';
import type { CollectedInput } from '../bullmq/job-input.js';
import { knownJob } from '../bullmq/known-job.js';
import { type QueueCounts, queueCounts } from '../bullmq/queue-handle.js';
import type { Store } from '../bullmq/store.js';
import type { StoredJob } from '../bullmq/stored-job.js';
import type { TagIndex } from '../bullmq/tag-index.js';
import { INTERNAL_QUEUE, isRunJob } from '../flow/node.js';
import { runCountsOf } from '../graph/tally.js';
import { jobInfoOf } from '../results/job-info.js';
import { RunReader } from '../results/run/run-reader.js';
import { isFinal } from '../results/state.js';
import { pageRequestOf } from './filter.js';
import { type FoundJob, pageOf, storedState } from './listing.js';
import type {
  JobFacts,
  JobFilter,
  JobQuery,
  Jobs,
  ListedJob,
  ListedRun,
  Page,
  RunFilter,
  RunPageQuery,
  Runs,
  StoredState,
} from './query.js';

/** What an app gives its queries; asked for at each call. */
export interface QueryParts {
  readonly store: Store;
  readonly tags: TagIndex;
  readonly now: () => number;
  /** The queues of tasks; those that the app knows by now. */
  readonly queues: readonly string[];
  /** @throws {UnknownQueueError} if the app has no such queue. */
  readonly checkQueue: (queue: string) => void;
}

export function jobQueries(parts: () => QueryParts): Jobs {
  async function list(query: JobQuery = {}): Promise<Page<ListedJob>> {
    const { store, tags, now, queues, checkQueue } = parts();
    const request = pageRequestOf(query, 'jobs');
    const { queue } = request.filter;
    if (queue !== undefined) checkQueue(queue);
    const chosen = queue === undefined ? queues : [queue];
    const page = await pageOf({ store, tags, now, queues: chosen, isOfRuns: false }, request);
    return { ...page, items: page.items.map(listedJob) };
  }
  return {
    list,
    all: (filter: JobFilter = {}) => allOf((page) => list({ ...filter, ...page })),
    async get(id) {
      const { store, queues } = parts();
      const found = await find(store, queues, id);
      return found && jobFacts(found, await store.collectInput(found.job, mayWait(found.state)));
    },
    async counts() {
      const { store, queues } = parts();
      const counts = await Promise.all(queues.map((queue) => queueCounts(store, queue)));
      return {
        total: counts.reduce(sum),
        queues: Object.fromEntries(
          queues.map((queue, index) => [queue, counts[index] ?? counts.reduce(sum)]),
        ),
      };
    },
  };
}

export function runQueries(parts: () => QueryParts): Runs {
  async function list(query: RunPageQuery = {}): Promise<Page<ListedRun>> {
    const { store, tags, now } = parts();
    const request = pageRequestOf(query, 'runs');
    const page = await pageOf({ store, tags, now, queues: [INTERNAL_QUEUE], isOfRuns: true }, request);
    return { ...page, items: page.items.map(listedRun) };
  }
  return {
    list,
    all: (filter: RunFilter = {}) => allOf((page) => list({ ...filter, ...page })),
    async get(id) {
      const { store } = parts();
      const found = await find(store, [INTERNAL_QUEUE], id);
      if (found === undefined) return undefined;
      const { name, problem } = found.job;
      if (!isRunJob(INTERNAL_QUEUE, name) && problem === undefined) return undefined;
      const part = await new RunReader(store).read({ queue: INTERNAL_QUEUE, id });
      const error = found.job.envelope?.failure?.error;
      return (
        part && { ...listedRun(found), counts: runCountsOf(part), ...(error !== undefined && { error }) }
      );
    },
  };
}

/** Page after page. What has not ended may be met again further on, as it moves on. */
async function* allOf<Item extends ListedJob | ListedRun>(
  list: (page: { limit: number; cursor?: string }) => Promise<Page<Item>>,
): AsyncGenerator<Item, void> {
  const seen = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await list({ limit: 100, ...(cursor !== undefined && { cursor }) });
    for (const item of page.items) {
      if (seen.has(item.id)) continue;
      if (!isFinal(item.state)) seen.add(item.id);
      yield item;
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
}

async function find(store: Store, queues: readonly string[], id: string): Promise<FoundJob | undefined> {
  if (typeof id !== 'string' || !isJobId(id)) return undefined;
  for (const queue of queues) {
    const job = await knownJob(store, { queue, id });
    if (job === undefined) continue;
    const state = storedState(await store.on(queue, (bull) => bull.getJobState(id)), job);
    if (state !== undefined) return { job, state };
  }
  return undefined;
}

function listedJob({ job, state }: FoundJob): ListedJob {
  return {
    ...jobInfoOf(job),
    state,
    ...(state === 'active' && job.ownState !== undefined && { ownState: job.ownState }),
    tags: job.envelope?.tags ?? [],
    ...reasonOf(job),
  };
}

/** Whether a job may have children that have not ended. */
function mayWait(state: StoredState): boolean {
  return state !== 'active' && !isFinal(state);
}

function jobFacts(found: FoundJob, collected: CollectedInput): JobFacts {
  const { progress, envelope, worker, stacks = [], attempts } = found.job;
  const { failure, expires } = envelope ?? {};
  return {
    ...listedJob(found),
    ...collected,
    ...(found.state === 'active' && { attempt: attempts + 1 }),
    ...(worker !== undefined && { worker }),
    errors: stacks,
    ...(progress !== undefined && { progress }),
    ...(failure !== undefined && { error: failure.error }),
    ...(expires !== undefined && { expiresAt: new Date(expires) }),
  };
}

function listedRun({ job, state }: FoundJob): ListedRun {
  const { tags = [], headers = {}, root, parent } = job.envelope ?? {};
  return {
    id: job.id,
    state,
    tags,
    headers,
    enqueuedAt: new Date(job.enqueuedAt),
    ...(job.finishedAt !== undefined && { finishedAt: new Date(job.finishedAt) }),
    rootId: root ?? job.id,
    ...(parent !== undefined && { parentId: parent }),
    ...reasonOf(job),
  };
}

function reasonOf({ failedReason, problem }: StoredJob): { reason?: string; problem?: string } {
  return {
    ...(failedReason !== undefined && { reason: failedReason }),
    ...(problem !== undefined && { problem }),
  };
}

function sum(a: QueueCounts, b: QueueCounts): QueueCounts {
  return {
    waiting: a.waiting + b.waiting,
    delayed: a.delayed + b.delayed,
    'waiting-children': a['waiting-children'] + b['waiting-children'],
    active: a.active + b.active,
    completed: a.completed + b.completed,
    failed: a.failed + b.failed,
  };
}

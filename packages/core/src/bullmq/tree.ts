/** The jobs of a run, from a job down to those that it waits for. */
import type { Job } from 'bullmq';
import { type Envelope, isEnvelope } from '../wire/envelope.js';
import type { Backends } from './backends.js';

/** Where a job is. */
export interface JobPlace {
  readonly queue: string;
  readonly id: string;
}

/** A job whose stored text cannot be read is left to a worker, which fails it with the reason. */
export function ifBroken(error: unknown): undefined {
  if (error instanceof SyntaxError) return undefined;
  throw error;
}

/** Children that are read in one command. */
const PAGE = 500;

const KINDS = ['unprocessed', 'processed', 'ignored'] as const;

/** Children by how far they have come: not ended, completed, failed. */
export type ChildKind = (typeof KINDS)[number];

/** The children of a job, of these kinds, page by page. A store may give one twice while others end. */
export async function* childrenOf(
  backends: Backends,
  { queue, id }: JobPlace,
  kinds: readonly ChildKind[] = KINDS,
): AsyncGenerator<JobPlace & { readonly kind: ChildKind }> {
  const backend = backends.queue(queue).getBackend();
  for (const kind of kinds) {
    const seen = new Set<string>();
    let cursor = 0;
    do {
      const page = await backend.getDependencies(id, { [kind]: { cursor, count: PAGE } });
      const found = page[kind] ?? [];
      const keys = Array.isArray(found) ? found : Object.keys(found);
      for (const key of keys) {
        if (seen.has(key)) continue;
        seen.add(key);
        const child = backends.parseKey(key);
        yield { kind, queue: child.queueName, id: child.id };
      }
      cursor =
        (kind === 'processed'
          ? page.nextProcessedCursor
          : kind === 'ignored'
            ? page.nextIgnoredCursor
            : page.nextUnprocessedCursor) ?? 0;
    } while (cursor !== 0);
  }
}

/** How a job is kept from starting. */
export interface Mark {
  readonly now: number;
  /** It is not needed any more, rather than unwanted. */
  readonly skipped?: true;
  /** Only jobs that bear it. */
  readonly tag?: string;
}

/**
 * Marks a job and all that it still waits for: none of them starts any more. What waited for a time is taken up at
 * once, so as to end. Gives those that were marked, the given one first.
 */
export async function* markTree(backends: Backends, place: JobPlace, mark: Mark): AsyncGenerator<JobPlace> {
  const job = await backends.queue(place.queue).getJob(place.id).catch(ifBroken);
  if (job === undefined || !isEnvelope(job.data)) return;
  const isMeant = mark.tag === undefined || job.data.tags?.includes(mark.tag) === true;
  if (isMeant) {
    await markJob(job, mark);
    yield place;
  } else if (mark.tag !== undefined && job.data.run === job.id) {
    // What is not added yet is marked by whoever adds it.
    const revokedTags = [...new Set([...(job.data.revokedTags ?? []), mark.tag])];
    await job.updateData({ ...job.data, revokedTags });
  }
  for await (const child of childrenOf(backends, place, ['unprocessed'])) {
    yield* markTree(backends, child, mark);
  }
  if (isMeant && (await job.isDelayed())) await job.promote().catch(() => {}); // a worker may have been quicker
}

async function markJob(job: Job<Envelope>, { now, skipped }: Mark): Promise<void> {
  if (job.data.revoked === undefined) {
    await job.updateData({ ...job.data, revoked: now, ...(skipped && { skipped }) });
  }
  // A call that is the same would be taken for this one, and never run.
  if (job.deduplicationId !== undefined) await job.removeDeduplicationKey();
}

/**
 * Removes a job and all below it, one by one: as one command it would block the store. What still runs stays, and is
 * kept by the store like any other job. False if the store does not hold the job.
 */
export async function removeTree(backends: Backends, place: JobPlace): Promise<boolean> {
  const below: JobPlace[] = [];
  for await (const child of childrenOf(backends, place)) below.push(child);
  for (const child of below) await removeTree(backends, child);
  const queue = backends.queue(place.queue);
  if ((await queue.getJobState(place.id)) === 'active') return true;
  return (await queue.remove(place.id, { removeChildren: false })) > 0;
}

/** The jobs of a run, from a job down to those that it waits for. */
import { type Envelope, isEnvelope } from '../wire/envelope.js';
import type { EnvelopeQueue } from './backends.js';
import { mergeData } from './merge-data.js';

/** What reads and changes jobs, each command tried while the store cannot be reached. */
export interface JobAccess {
  on<T>(queue: string, command: (queue: EnvelopeQueue) => Promise<T>): Promise<T>;
  /** The job that a key stands for, by which jobs refer to each other. */
  placeOf(key: string): JobPlace;
}

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

/** A job that another one waits for, or has waited for. */
export interface ChildPlace extends JobPlace {
  readonly kind: ChildKind;
  /** What the store says of one that failed. */
  readonly reason?: string;
}

/** The children of a job, of these kinds, page by page. One that ends meanwhile may be given twice, or as it was. */
export async function* childrenOf(
  access: JobAccess,
  { queue, id }: JobPlace,
  kinds: readonly ChildKind[] = KINDS,
): AsyncGenerator<ChildPlace> {
  for (const kind of kinds) {
    const seen = new Set<string>();
    let cursor = 0;
    do {
      const range = { [kind]: { cursor, count: PAGE } };
      const page = await access.on(queue, (bull) => bull.getBackend().getDependencies(id, range));
      const found = page[kind] ?? [];
      const entries: [string, unknown][] = Array.isArray(found)
        ? found.map((key) => [key, undefined])
        : Object.entries(found);
      for (const [key, value] of entries) {
        if (seen.has(key)) continue;
        seen.add(key);
        const reason = kind === 'ignored' ? { reason: String(value) } : {};
        yield { kind, ...access.placeOf(key), ...reason };
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
export async function* markTree(access: JobAccess, place: JobPlace, mark: Mark): AsyncGenerator<JobPlace> {
  // A long chain is a deep tree, so this does not call itself.
  const left: (JobPlace | MarkedJob)[] = [place];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if ('job' in next) {
      const { queue, job } = next;
      await access.on(queue, async () => {
        if (await job.isDelayed()) await job.promote().catch(() => {}); // a worker may have been quicker
      });
      continue;
    }
    const { queue, id } = next;
    const job = await access.on(queue, (bull) => bull.getJob(id).catch(ifBroken));
    if (job === undefined || !isEnvelope(job.data)) continue;
    if (await markJob(access, queue, job, mark)) {
      yield next;
      left.push({ queue, job }); // once those that it waits for are marked
    }
    const children: JobPlace[] = [];
    for await (const child of childrenOf(access, next, ['unprocessed'])) children.push(child);
    for (const child of children.reverse()) left.push(child);
  }
}

type AnyJob = NonNullable<Awaited<ReturnType<EnvelopeQueue['getJob']>>>;

interface MarkedJob {
  readonly queue: string;
  readonly job: AnyJob;
}

/** Marks one job, and says whether it is one that is meant. */
async function markJob(access: JobAccess, queue: string, job: AnyJob, mark: Mark): Promise<boolean> {
  const { id = '', data } = job;
  const isMeant = mark.tag === undefined || data.tags?.includes(mark.tag) === true;
  // Of a run, what is not added yet is marked by whoever adds it.
  if (isMeant || data.run === id) {
    await access.on(queue, (bull) =>
      mergeData(bull.getBackend(), id, (now) => (isMeant ? marked(now, mark) : withTag(now, mark.tag))),
    );
  }
  // A call that is the same would be taken for this one, and never run.
  if (isMeant && job.deduplicationId !== undefined)
    await access.on(queue, () => job.removeDeduplicationKey());
  return isMeant;
}

function marked(data: Envelope, { now, skipped }: Mark): Envelope | undefined {
  if (data.revoked !== undefined) return undefined;
  const { skipped: _early, ...rest } = data; // that its chain had ended early says nothing now
  return { ...rest, revoked: now, ...(skipped && { skipped }) };
}

function withTag(data: Envelope, tag: string | undefined): Envelope | undefined {
  const { revokedTags = [] } = data;
  return tag === undefined || revokedTags.includes(tag)
    ? undefined
    : { ...data, revokedTags: [...revokedTags, tag] };
}

/**
 * Removes a job and all below it, one by one: as one command it would block the store. What still runs stays, and is
 * kept by the store like any other job. False if the store does not hold the job.
 */
export async function removeTree(access: JobAccess, place: JobPlace): Promise<boolean> {
  const below: JobPlace[] = [];
  for await (const child of childrenOf(access, place)) below.push(child);
  for (const child of below) await removeTree(access, child);
  return access.on(place.queue, async (bull) => {
    if ((await bull.getJobState(place.id)) === 'active') return true;
    return (await bull.remove(place.id, { removeChildren: false })) > 0;
  });
}

import type { JobRef } from '../job/job.js';
import type { EnvelopeQueue } from './queue-pool.js';
import type { Store } from './store.js';
import { momentOf, type StoredJob, UNKNOWN_TASK } from './stored-job.js';

/** The jobs of a run, from a job down to those that it waits for. */

/** What reads and changes jobs, each command tried while the store cannot be reached. */
export interface JobAccess {
  on<T>(queue: string, command: (queue: EnvelopeQueue) => Promise<T>): Promise<T>;
  /** The job that a key stands for, by which jobs refer to each other. */
  placeOf(key: string): JobRef;
}

/** How Redis answers where something else stands in the place of a record. */
export const REPLACED = /^WRONGTYPE/;

/** A job whose stored text cannot be read is left to a worker, which fails it with the reason. */
export function ifBroken(error: unknown): undefined {
  if (error instanceof SyntaxError) return undefined;
  if (error instanceof Error && REPLACED.test(error.message)) return undefined;
  throw error;
}

/** Children that are read in one command. */
const PAGE = 500;

const KINDS = ['unprocessed', 'processed', 'ignored'] as const;

/** Children by how far they have come: not ended, completed, failed. */
export type ChildKind = (typeof KINDS)[number];

/** A job that another one waits for, or has waited for. */
export interface ChildPlace extends JobRef {
  readonly kind: ChildKind;
  /** What the store says of one that failed. */
  readonly reason?: string;
}

/** The children of a job, of these kinds, page by page. One that ends meanwhile may be given twice, or as it was. */
export async function* childrenOf(
  access: JobAccess,
  { queue, id }: JobRef,
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

// Jobs as far as they can be read: also those whose record is gone, or holds what is no job.

/** Why nothing can be read of a job that stands in a set of its queue. */
const GONE = 'its record is gone';
const NO_DATA = 'its data is not valid JSON';
const NO_RECORD = 'its record is not valid JSON';
const OTHER_TYPE = 'its record is of another type';

/** What can be read where the whole cannot. */
export async function remainsOf(store: Store, { queue, id }: JobRef): Promise<StoredJob> {
  const nothing: StoredJob = {
    id,
    name: UNKNOWN_TASK,
    queue,
    envelope: undefined,
    attempts: 0,
    enqueuedAt: 0,
    startedAt: undefined,
    finishedAt: undefined,
    progress: undefined,
    ownState: undefined,
    failedReason: undefined,
  };
  try {
    const json = await store.on(queue, (bull) => bull.getBackend().getJobData(id));
    if (json === undefined) return { ...nothing, problem: GONE };
    return {
      ...nothing,
      name: json.name || UNKNOWN_TASK,
      attempts: json.attemptsMade || 0,
      enqueuedAt: momentOf(json.timestamp) ?? 0,
      startedAt: momentOf(json.processedOn),
      finishedAt: momentOf(json.finishedOn),
      failedReason: json.failedReason,
      problem: NO_DATA,
    };
  } catch (error) {
    ifBroken(error);
    const isReplaced = error instanceof Error && REPLACED.test(error.message);
    return { ...nothing, problem: isReplaced ? OTHER_TYPE : NO_RECORD };
  }
}

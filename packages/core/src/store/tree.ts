/** This module reads the children of jobs, and jobs whose records are partly unreadable. */
import type { JobRef } from '../job/job.js';
import type { EnvelopeQueue } from './queue-pool.js';
import type { Store } from './store.js';
import { momentOf, type StoredJob, UNKNOWN_TASK } from './stored-job.js';

/** Access to jobs; each command is retried while the store is unreachable. */
export interface JobAccess {
  on<T>(queue: string, command: (queue: EnvelopeQueue) => Promise<T>): Promise<T>;
  /** Returns the job for a key by which jobs refer to each other. */
  placeOf(key: string): JobRef;
  /** How long the record of an ended wait for a signal is kept. */
  readonly endedWaitMs: number;
}

/** Error of Redis if a key has another type than a job's record. */
const REPLACED = /^WRONGTYPE/;

/** Returns undefined for errors of unreadable records, which workers fail with the reason. Throws other errors. */
export function ifBroken(error: unknown): undefined {
  if (error instanceof SyntaxError) return undefined;
  if (error instanceof Error && REPLACED.test(error.message)) return undefined;
  throw error;
}

/** Number of children that one command reads. */
const PAGE = 500;

const KINDS = ['unprocessed', 'processed', 'ignored'] as const;

/** State of a child in BullMQ's terms: not ended, completed, failed. */
export type ChildKind = (typeof KINDS)[number];

/** A child of a job. */
export interface ChildPlace extends JobRef {
  readonly kind: ChildKind;
  /** Reason of a failure, as stored. */
  readonly reason?: string;
}

/** Yields the children of a job, page by page. A child that ends concurrently may appear twice, or with its old kind. */
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

// Jobs with missing or unreadable records.

/** Reasons why a job in a set of its queue is unreadable. */
const GONE = 'its record is gone';
const NO_DATA = 'its data is not valid JSON';
const NO_RECORD = 'its record is not valid JSON';
const OTHER_TYPE = 'its record is of another type';

/** Returns the readable part of an unreadable job. */
export async function readablePartOf(store: Store, { queue, id }: JobRef): Promise<StoredJob> {
  const nothing: StoredJob = {
    id,
    name: UNKNOWN_TASK,
    queue,
    envelope: undefined,
    attempts: 0,
    enqueuedAt: 0,
    startedAt: undefined,
    finishedAt: undefined,
    dueAt: undefined,
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

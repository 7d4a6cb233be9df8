/**
 * This guard fails unreadable jobs, so that they are visible and do not come back forever.
 *
 * W21: BullMQ throws when it parses a fetched job, outside any handler, and one worker after the other would fetch the job.
 */
import type { IQueueBackend, MinimalJob } from 'bullmq';
import { CorruptJobError } from '../../base/errors.js';
import { systemClock } from '../../base/time.js';
import { waitingForRate } from './locks.js';

/** Maximum number of active jobs to check for the unreadable one. */
const MAX_CHECKED = 1000;

/** Token for commands that do not check the lock. */
const NO_LOCK = '0';

/** A nonexistent parent, for a job whose parent is unreadable: otherwise the store rejects its outcome. */
const NO_PARENT = JSON.stringify({ id: 'none', queueKey: 'none' });

/** Called with a job that was failed because the backend cannot read it. */
export type UnreadableListener = (id: string, error: CorruptJobError) => Promise<void>;

/** Fails jobs that the backend cannot read: their options, progress or parent are not valid JSON. */
export function failsUnreadable(backend: IQueueBackend, onFailed: UnreadableListener): void {
  const { moveToActive, moveToCompleted, moveToFailed, moveToDelayed } = backend;

  /** Fails the unreadable job that was fetched with this token. */
  const failHeldBy = async (token: string, cause: SyntaxError) => {
    const active = (await backend.getRanges(['active'], 0, MAX_CHECKED - 1)).flat();
    for (const id of active) {
      if (await isReadable(backend, id)) continue;
      const corrupt = new CorruptJobError(id, `its stored record is not valid JSON: ${cause.message}`);
      const { message } = corrupt;
      const job = { id, opts: { attempts: 1 } } as MinimalJob; // the command reads only these fields
      const fail = (lock: string, fields: object) =>
        moveToFailed.call(backend, job, message, { count: -1 }, lock, false, fields);
      try {
        await fail(token, { failedReason: message });
      } catch (error) {
        const isForeign = error instanceof Error && 'code' in error;
        // The first attempt released the lock before it reached the parent.
        if (isForeign) continue;
        await fail(NO_LOCK, { failedReason: message, parent: NO_PARENT });
      }
      await onFailed(id, corrupt);
    }
  };
  const reading = <T>(token: string, command: () => Promise<T>, instead: () => T): Promise<T> =>
    // Also handles rate limits: all answers with a next job pass here, so no extra promise is needed.
    command().then(waitingForRate, async (error: unknown) => {
      if (!(error instanceof SyntaxError)) throw error;
      await failHeldBy(token, error);
      return instead();
    });

  backend.moveToActive = (...args) =>
    reading(
      args[0],
      () => moveToActive.apply(backend, args),
      () => [],
    );
  // Answers of commits contain the next job.
  const finished = () => ({ result: undefined, finishedOn: systemClock.now() });
  backend.moveToCompleted = (...args) =>
    reading(args[3], () => moveToCompleted.apply(backend, args), finished);
  backend.moveToFailed = (...args) => reading(args[3], () => moveToFailed.apply(backend, args), finished);
  backend.moveToDelayed = (...args) =>
    reading(
      args[3] ?? '',
      () => moveToDelayed.apply(backend, args),
      () => undefined,
    );
}

async function isReadable(backend: IQueueBackend, id: string): Promise<boolean> {
  try {
    await backend.getJobData(id);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

// W6: BullMQ does not check whether parts of an answer are errors, and fails when it reads them.

/** Converts the error of a partly rejected read to a transient error, so that the read is retried. */
export function readsWhole(backend: IQueueBackend): void {
  const getDependencies = backend.getDependencies.bind(backend);
  backend.getDependencies = async (...args) => {
    try {
      return await getDependencies(...args);
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw new Error('TRYAGAIN the store rejected a part of a read', { cause });
    }
  };
}

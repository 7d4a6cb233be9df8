/**
 * A job that cannot be read is failed, so that it is seen, and does not come back for ever.
 *
 * W21: BullMQ throws where it reads what the store has handed out, outside of any handler; the job would be taken by
 * one worker after the other.
 */
import type { IQueueBackend, MinimalJob } from 'bullmq';
import { CorruptJobError } from '../../base/errors.js';
import { systemClock } from '../../base/time.js';
import { waitingForRate } from './locks.js';

/** Active jobs that are looked at to find the one that cannot be read. */
const MAX_LOOKED_AT = 1000;

/** Stands for a lock where none is looked at. */
const NO_LOCK = '0';

/** A parent that no job is, for a job whose own cannot be read: else the store refuses its outcome. */
const NO_PARENT = JSON.stringify({ id: 'none', queueKey: 'none' });

/** Is told of a job that was failed since the backend cannot read it. */
export type UnreadableListener = (id: string, error: CorruptJobError) => Promise<void>;

/** Fails a job that the backend itself cannot read: its options, its progress or its parent is no JSON. */
export function failsUnreadable(backend: IQueueBackend, onFailed: UnreadableListener): void {
  const { moveToActive, moveToCompleted, moveToFailed, moveToDelayed } = backend;

  /** Fails the job that was handed out under this token: no other lock has it. */
  const failHeldBy = async (token: string, cause: SyntaxError) => {
    const active = (await backend.getRanges(['active'], 0, MAX_LOOKED_AT - 1)).flat();
    for (const id of active) {
      if (await isReadable(backend, id)) continue;
      const corrupt = new CorruptJobError(id, `its stored record is not valid JSON: ${cause.message}`);
      const { message } = corrupt;
      const job = { id, opts: { attempts: 1 } } as MinimalJob; // all that the command reads of it
      const fail = (lock: string, fields: object) =>
        moveToFailed.call(backend, job, message, { count: -1 }, lock, false, fields);
      try {
        await fail(token, { failedReason: message });
      } catch (error) {
        const isForeign = error instanceof Error && 'code' in error;
        // The first try has given the lock back before it came to the parent.
        if (isForeign) continue;
        await fail(NO_LOCK, { failedReason: message, parent: NO_PARENT });
      }
      await onFailed(id, corrupt);
    }
  };
  const reading = <T>(token: string, command: () => Promise<T>, instead: () => T): Promise<T> =>
    // A wait for a rate is put in here: whatever hands out jobs passes this place, and no promise is made for it.
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
  // Commits hand out the next job in their answer.
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

// W6: BullMQ does not look whether the parts of an answer are errors, and fails where it reads them.

/** Tells a refused read from a mistake, so that it is tried again. */
export function readsWhole(backend: IQueueBackend): void {
  const getDependencies = backend.getDependencies.bind(backend);
  backend.getDependencies = async (...args) => {
    try {
      return await getDependencies(...args);
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw new Error('TRYAGAIN the store has refused a part of what was read', { cause });
    }
  };
}

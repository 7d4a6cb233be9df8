import { type ErrorRecord, JobStateError, UnknownJobError } from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import { isJobId } from './job-id.js';
import type { Store } from './store.js';
import type { StoredJob } from './stored-job.js';

/** A job that has failed for good. */
export interface DeadLetter {
  readonly id: string;
  /** The task's name. */
  readonly task: string;
  readonly queue: string;
  readonly state: 'failed' | 'expired' | 'revoked' | 'skipped';
  readonly input: unknown;
  readonly attempts: number;
  readonly failedAt: Date;
  readonly error: ErrorRecord;
  /** The composition it is a step of. */
  readonly runId?: string;
}

export interface DeadLetterQuery {
  /** Default: every queue that the app knows. */
  queue?: string;
  /** Only those of the task of this name. */
  task?: string;
  /** Default 100, for each queue. */
  limit?: number;
  /** Those that failed later and are not to be given, in each queue. Default 0. */
  offset?: number;
}

/** The failed jobs of an app, which the store keeps for `failureTtl`. */
export interface DeadLetters {
  /** Those that failed last come first. Not steps that never ran because an earlier one had failed. */
  list(query?: DeadLetterQuery): Promise<DeadLetter[]>;
  /**
   * Runs a failed job again, with all its attempts, under the same id, so that whoever waits for it gets the result.
   * Its callbacks were sent when it failed, and are not sent again.
   * @throws {UnknownJobError} if no queue holds it. @throws {JobStateError} if it has not failed, or is a step of a
   * composition that has failed with it.
   */
  replay(id: string): Promise<void>;
  /** Removes a failed job. @throws as `replay`. */
  discard(id: string): Promise<void>;
}

export function deadLetters(storeNow: () => Store, queues: () => readonly string[]): DeadLetters {
  async function failed(store: Store, id: string): Promise<StoredJob> {
    if (!isJobId(id)) throw new UnknownJobError(id, undefined);
    for (const queue of queues()) {
      const job = await store.job(queue, id);
      if (job === undefined) continue;
      const state = await store.on(queue, (bull) => bull.getJobState(id));
      if (state !== 'failed') throw new JobStateError(`Job ${id} is ${state}, not failed.`);
      return job;
    }
    throw new UnknownJobError(id, undefined);
  }

  return {
    async list({ queue, task, limit = 100, offset = 0 } = {}) {
      const store = storeNow();
      const found: DeadLetter[] = [];
      for (const name of queue === undefined ? queues() : [queue]) {
        if (name === INTERNAL_QUEUE) continue;
        const jobs = await store.failed(name, offset, limit);
        const isWanted = (job: StoredJob) => (task === undefined || job.name === task) && isOwnFailure(job);
        found.push(...jobs.filter(isWanted).map(toDeadLetter));
      }
      return found.sort((a, b) => b.failedAt.getTime() - a.failedAt.getTime());
    },
    async replay(id) {
      const store = storeNow();
      const job = await failed(store, id);
      const { run, alone } = job.envelope ?? {};
      if (run === id)
        throw new JobStateError(`Job ${id} is a composition: resume it, with app.result('${id}').resume().`);
      if (run !== undefined && !alone) {
        throw new JobStateError(
          `Job ${id} is a step of run ${run}, which has failed with it: resume that, with app.result('${run}').resume().`,
        );
      }
      await store.retry(job.queue, id);
    },
    async discard(id) {
      const store = storeNow();
      const { queue } = await failed(store, id);
      await store.remove(queue, id);
    },
  };
}

/** Whether a job has failed itself: neither because one that it waited for has, nor because it was not needed any more. */
function isOwnFailure({ id, envelope }: StoredJob): boolean {
  const { failure, after } = envelope ?? {};
  if (failure === undefined) return true;
  return failure.state !== 'skipped' && (after === undefined || failure.jobId === id);
}

function toDeadLetter({
  id,
  name,
  queue,
  envelope,
  attempts,
  finishedAt = 0,
  failedReason,
}: StoredJob): DeadLetter {
  const { failure, input, alone } = envelope ?? {};
  const run = alone ? undefined : envelope?.run;
  return {
    id,
    task: name,
    queue,
    state: failure?.state ?? 'failed',
    input,
    attempts,
    failedAt: new Date(finishedAt),
    error: failure?.error ?? { name: 'Error', message: failedReason ?? '' },
    ...(run !== undefined && { runId: run }),
  };
}

/**
 * Taking a lock again that has run out, while nobody else has taken the job: BullMQ's contract has no command for it.
 *
 * W10: a store that is frozen, or away, for longer than a lock lets all locks run out at once, and every job would run
 * a second time. Where a backend cannot do this, that is what happens.
 */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import type { Claim } from '../claims.js';

/** A backend that sets a lock where there is none. */
export interface LockSetter {
  /** True once the lock is there; false if the job has one. */
  setLock(jobId: string, token: string, durationMs: number): Promise<boolean>;
}

/** Whether the worker that made this claim holds the job again. */
export async function retakeLock(
  backend: IQueueBackend,
  { id, token, starts }: Claim,
  durationMs: number,
): Promise<boolean> {
  const set = setterOf(backend);
  if (set === undefined || !(await set(id, token, durationMs))) return false;
  // With a lock it stays as it is: only now can it be told that it was not taken meanwhile.
  const [job, isActive] = await Promise.all([backend.getJobData(id), backend.isJobInState('active', id)]);
  return isActive && job?.attemptsStarted === starts;
}

function setterOf(backend: IQueueBackend): LockSetter['setLock'] | undefined {
  if (backend instanceof RedisQueueBackend) {
    return async (id, token, durationMs) => {
      const client: object = await backend.connection.client;
      if (!('call' in client) || typeof client.call !== 'function') return false; // only ioredis, the usual one, has it
      return (await client.call('SET', backend.toKey(`${id}:lock`), token, 'PX', durationMs, 'NX')) === 'OK';
    };
  }
  if ('setLock' in backend) return (backend as IQueueBackend & LockSetter).setLock.bind(backend);
  return undefined;
}

/** Locks and data of jobs, changed only while they are as somebody has seen them. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { runScript, type Script } from './scripts.js';

export interface Primitives {
  /**
   * Locks an active job once more that has no lock any more, or this one; false if it has another one, is not active, or
   * was started again since (`starts`: how often it was). Without it, jobs whose locks run out while their worker lives
   * run a second time.
   */
  takeLock(jobId: string, token: string, starts: number, durationMs: number): Promise<boolean>;
  /**
   * Replaces a job's data if it is still this text, and only while the job is as `only` says; false if it is another text,
   * the job is not like that, or it is gone. Without it, what two processes note with a job in the same moment may be
   * noted in part.
   */
  replaceData(jobId: string, current: string, next: string, only?: DataCondition): Promise<boolean>;
  /**
   * Writes something that is gone at once. Rejects if the store refuses to write: it is full, a replica, or lacks its own
   * replicas. Without it, a refusal is noticed by the next sweep only.
   */
  tryWrite?(): Promise<void>;
}

/** A job that has failed, or one that has not ended and was started exactly so often. */
type DataCondition = 'failed' | { readonly starts: number };

const TAKE_LOCK: Script = {
  name: 'umbel:takeLock',
  numberOfKeys: 3,
  lua: `local lock = redis.call('GET', KEYS[2])
if lock and lock ~= ARGV[2] then return 0 end
if redis.call('HGET', KEYS[1], 'ats') ~= ARGV[3] then return 0 end
if not redis.call('LPOS', KEYS[3], ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])
return 1`,
};

const REPLACE_DATA: Script = {
  name: 'umbel:replaceData',
  numberOfKeys: 2,
  lua: `if redis.call('HGET', KEYS[1], 'data') ~= ARGV[1] then return 0 end
if ARGV[3] == 'failed' and not redis.call('ZSCORE', KEYS[2], ARGV[4]) then return 0 end
if ARGV[3] == 'held' then
  local job = redis.call('HMGET', KEYS[1], 'ats', 'finishedOn')
  if job[1] ~= ARGV[5] or job[2] then return 0 end
end
redis.call('HSET', KEYS[1], 'data', ARGV[2])
return 1`,
};

/** Undefined for a store that has neither. */
export function primitivesOf(backend: IQueueBackend): Primitives | undefined {
  if (backend instanceof RedisQueueBackend) return redisPrimitives(backend);
  return 'takeLock' in backend && 'replaceData' in backend
    ? (backend as IQueueBackend & Primitives)
    : undefined;
}

function redisPrimitives(backend: RedisQueueBackend): Primitives {
  return {
    async takeLock(id, token, starts, durationMs) {
      const keys = [backend.toKey(id), backend.toKey(`${id}:lock`), backend.toKey('active')];
      return (await runScript(backend, TAKE_LOCK, [...keys, id, token, starts, durationMs])) === 1;
    },
    async replaceData(id, current, next, only = undefined) {
      const keys = [backend.toKey(id), backend.toKey('failed')];
      const [state, starts] = typeof only === 'object' ? ['held', only.starts] : [only ?? '', ''];
      const args = [...keys, current, next, state, id, starts];
      return (await runScript(backend, REPLACE_DATA, args)) === 1;
    },
    async tryWrite() {
      const client = await backend.connection.client;
      await client.set(backend.toKey('try-write'), '', { PX: 1 });
    },
  };
}

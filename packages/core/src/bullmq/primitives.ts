/**
 * What Umbel needs of a store and BullMQ's contract has no command for. A backend that is no Redis may have methods of
 * these names; without them Umbel works too, and loses what the comments say.
 */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';

export interface Primitives {
  /**
   * Locks a job that has no lock; false if it has another one. Without it, jobs whose locks run out while their worker
   * lives run a second time.
   */
  setLock(jobId: string, token: string, durationMs: number): Promise<boolean>;
  /**
   * Replaces a job's data if it is still this text; false if it is another, or the job is gone. Without it, what two
   * processes note with a job in the same moment may be noted in part.
   */
  replaceData(jobId: string, current: string, next: string): Promise<boolean>;
}

const SCRIPTS = {
  'umbel:setLock': `if redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0`,
  'umbel:replaceData': `if redis.call('HGET', KEYS[1], 'data') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'data', ARGV[2])
return 1`,
} as const;

export function primitivesOf(backend: IQueueBackend): Primitives | undefined {
  if (backend instanceof RedisQueueBackend) return redisPrimitives(backend);
  return 'setLock' in backend && 'replaceData' in backend
    ? (backend as IQueueBackend & Primitives)
    : undefined;
}

const prepared = new WeakSet<object>();

function redisPrimitives(backend: RedisQueueBackend): Primitives {
  const run = async (script: keyof typeof SCRIPTS, ...args: (string | number)[]) => {
    const client = await backend.connection.client;
    if (!prepared.has(client)) {
      prepared.add(client);
      for (const [name, lua] of Object.entries(SCRIPTS)) client.defineCommand(name, { numberOfKeys: 1, lua });
    }
    return (await client.runCommand(script, args)) === 1;
  };
  return {
    setLock: (id, token, durationMs) => run('umbel:setLock', backend.toKey(`${id}:lock`), token, durationMs),
    replaceData: (id, current, next) => run('umbel:replaceData', backend.toKey(id), current, next),
  };
}

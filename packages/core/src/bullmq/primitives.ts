/**
 * What Umbel needs of a store and BullMQ's contract has no command for. A backend that is no Redis may have methods of
 * these names; without them Umbel works too, and loses what the comments say.
 */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import type { RateLimit } from '../tasks/rate.js';

/** What holds for a queue as a whole: what is absent stays as it is, and null takes a limit away. */
export interface QueueLimits {
  readonly concurrency?: number | null;
  readonly rate?: RateLimit | null;
}

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
}

/** A job that has failed, or one that has not ended and was started exactly so often. */
type DataCondition = 'failed' | { readonly starts: number };

export interface LimitPrimitive {
  /**
   * Sets limits, and wakes the workers that wait for one. A window of the rate that is open counts for the new one: it
   * lasts as long as the new one's, from when it began, with the starts that it has counted. Without it, the count of a
   * window is forgotten where its length changes, and workers notice a higher limit within 10 s.
   */
  setLimits(limits: QueueLimits): Promise<void>;
}

const SCRIPTS = {
  'umbel:takeLock': {
    numberOfKeys: 3,
    lua: `local lock = redis.call('GET', KEYS[2])
if lock and lock ~= ARGV[2] then return 0 end
if redis.call('HGET', KEYS[1], 'ats') ~= ARGV[3] then return 0 end
if not redis.call('LPOS', KEYS[3], ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])
return 1`,
  },
  'umbel:replaceData': {
    numberOfKeys: 2,
    lua: `if redis.call('HGET', KEYS[1], 'data') ~= ARGV[1] then return 0 end
if ARGV[3] == 'failed' and not redis.call('ZSCORE', KEYS[2], ARGV[4]) then return 0 end
if ARGV[3] == 'held' then
  local job = redis.call('HMGET', KEYS[1], 'ats', 'finishedOn')
  if job[1] ~= ARGV[5] or job[2] then return 0 end
end
redis.call('HSET', KEYS[1], 'data', ARGV[2])
return 1`,
  },
  // A window that BullMQ's own `rateLimit` holds shut has the largest count that there is, and is left alone.
  'umbel:setLimits': {
    numberOfKeys: 5,
    lua: `if ARGV[1] == 'none' then redis.call('HDEL', KEYS[1], 'concurrency') end
if tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'concurrency', ARGV[1]) end
if ARGV[2] ~= '' then
  local before = tonumber(redis.call('HGET', KEYS[1], 'duration') or nil)
  local left = redis.call('PTTL', KEYS[2])
  local isHeld = tonumber(redis.call('GET', KEYS[2]) or 0) >= 9007199254740991
  local keeps = -1
  if ARGV[2] == 'none' then
    redis.call('HDEL', KEYS[1], 'max', 'duration')
  else
    redis.call('HSET', KEYS[1], 'max', ARGV[2], 'duration', ARGV[3])
    if before and left > 0 then keeps = tonumber(ARGV[3]) - math.max(0, before - left) end
  end
  if isHeld then keeps = left end
  if keeps <= 0 then redis.call('DEL', KEYS[2])
  elseif keeps ~= left then redis.call('PEXPIRE', KEYS[2], keeps) end
end
local isPaused = redis.call('HEXISTS', KEYS[1], 'paused') == 1
if not isPaused and redis.call('LLEN', KEYS[4]) + redis.call('ZCARD', KEYS[5]) > 0 then
  redis.call('ZADD', KEYS[3], 0, '0')
end
return 1`,
  },
} as const;

export function primitivesOf(backend: IQueueBackend): Primitives | undefined {
  if (backend instanceof RedisQueueBackend) return redisPrimitives(backend);
  return 'takeLock' in backend && 'replaceData' in backend
    ? (backend as IQueueBackend & Primitives)
    : undefined;
}

/** Of a store that has it. */
export function limitsOf(backend: IQueueBackend): LimitPrimitive | undefined {
  if (backend instanceof RedisQueueBackend) return redisPrimitives(backend);
  return 'setLimits' in backend ? (backend as IQueueBackend & LimitPrimitive) : undefined;
}

const prepared = new WeakSet<object>();

function redisPrimitives(backend: RedisQueueBackend): Primitives & LimitPrimitive {
  const run = async (script: keyof typeof SCRIPTS, ...args: (string | number)[]) => {
    const client = await backend.connection.client;
    if (!prepared.has(client)) {
      prepared.add(client);
      for (const [name, script] of Object.entries(SCRIPTS)) client.defineCommand(name, script);
    }
    return (await client.runCommand(script, args)) === 1;
  };
  return {
    takeLock: (id, token, starts, durationMs) => {
      const keys = [backend.toKey(id), backend.toKey(`${id}:lock`), backend.toKey('active')];
      return run('umbel:takeLock', ...keys, id, token, starts, durationMs);
    },
    replaceData: (id, current, next, only = undefined) => {
      const keys = [backend.toKey(id), backend.toKey('failed')];
      const [state, starts] = typeof only === 'object' ? ['held', only.starts] : [only ?? '', ''];
      return run('umbel:replaceData', ...keys, current, next, state, id, starts);
    },
    setLimits: async ({ concurrency, rate }) => {
      const keys = ['meta', 'limiter', 'marker', 'wait', 'prioritized'].map((name) => backend.toKey(name));
      const most = concurrency === undefined ? '' : (concurrency ?? 'none');
      const max = rate === undefined ? '' : (rate?.max ?? 'none');
      await run('umbel:setLimits', ...keys, most, max, rate?.durationMs ?? '');
    },
  };
}

/** This module sets the concurrency and rate limits of a whole queue. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import type { RateLimit } from '../../task/option-checks.js';
import { runScript, type Script } from './scripts.js';

/** Limits of a whole queue. An absent limit stays unchanged; null removes a limit. */
export interface QueueLimits {
  readonly concurrency?: number | null;
  readonly rate?: RateLimit | null;
}

export interface LimitPrimitive {
  /**
   * Sets limits and wakes the workers that wait for one. An open rate window continues under the new limit: it keeps its
   * start and its count, and gets the new length. Without this command, the count of a window is lost when its length
   * changes, and workers notice a higher limit within 10 s.
   */
  setLimits(limits: QueueLimits): Promise<void>;
}

// A window that BullMQ's `rateLimit` has closed has the maximum count; it stays unchanged.
const SET_LIMITS: Script = {
  name: 'umbel:setLimits',
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
};

/** Returns the command; undefined for a store without it. */
export function limitsOf(backend: IQueueBackend): LimitPrimitive | undefined {
  if (backend instanceof RedisQueueBackend) return redisLimits(backend);
  return 'setLimits' in backend ? (backend as IQueueBackend & LimitPrimitive) : undefined;
}

function redisLimits(backend: RedisQueueBackend): LimitPrimitive {
  return {
    async setLimits({ concurrency, rate }) {
      const keys = ['meta', 'limiter', 'marker', 'wait', 'prioritized'].map((name) => backend.toKey(name));
      const maxConcurrency = concurrency === undefined ? '' : (concurrency ?? 'none');
      const max = rate === undefined ? '' : (rate?.max ?? 'none');
      await runScript(backend, SET_LIMITS, [...keys, maxConcurrency, max, rate?.durationMs ?? '']);
    },
  };
}

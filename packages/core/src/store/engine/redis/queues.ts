/** This module sets the limits of queues in Redis, and finds their names. */
import type { RedisQueueBackend } from 'bullmq';
import type { LimitPrimitive, QueueNames } from '../../primitives/queues.js';
import { runScript, type Script } from './scripts.js';

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

export function redisLimits(backend: RedisQueueBackend): LimitPrimitive {
  return {
    async setLimits({ concurrency, rate }) {
      const keys = ['meta', 'limiter', 'marker', 'wait', 'prioritized'].map((name) => backend.toKey(name));
      const maxConcurrency = concurrency === undefined ? '' : (concurrency ?? 'none');
      const max = rate === undefined ? '' : (rate?.max ?? 'none');
      await runScript(backend, SET_LIMITS, [...keys, maxConcurrency, max, rate?.durationMs ?? '']);
    },
  };
}

const QUEUE_NAMES: Script = {
  name: 'umbel:queueNames',
  numberOfKeys: 1,
  lua: `local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local names = {}
for _, key in ipairs(page[2]) do
  local name = string.match(key, '^(.*):id$') or string.match(key, '^(.*%.control):events$')
  if name then names[#names + 1] = name end
end
return { page[1], names }`,
};

/** Number of keys that one command scans, which takes about a millisecond, and maximum number of commands. */
const NAMES = { atOnce: 1000, pages: 300 };

/** Scans for keys that only use creates: `id` exists since the first job of a queue, `control:events` since the first worker. Metadata exist after a mere read. */
export async function redisQueueNames(backend: RedisQueueBackend, start: string): Promise<QueueNames> {
  const pattern = `${start.replaceAll(/[*?[\]\\^]/g, '\\$&')}*`;
  const names = new Set<string>();
  let cursor = '0';
  for (let page = 0; page < NAMES.pages; page += 1) {
    const args = [backend.toKey('meta'), cursor, pattern, NAMES.atOnce];
    const [next, found] = (await runScript(backend, QUEUE_NAMES, args)) as [string, string[]];
    for (const name of found) names.add(name);
    cursor = next;
    if (cursor === '0') break;
  }
  return { names: [...names], isComplete: cursor === '0' };
}

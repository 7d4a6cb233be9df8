/** This module implements the command that shrinks the records of completed jobs in Redis (`../../compaction.ts`). */
import type { RedisQueueBackend } from 'bullmq';
import type { CompactionPrimitive } from '../../primitives/ended-jobs.js';
import { runScript, type Script } from './scripts.js';

/** Redis stores a hash compactly unless one of its values is longer (`hash-max-listpack-value`, by default). */
const COMPACT_BYTES = 64;
/** Jobs with more children keep their children as they are: one command would read too many keys. */
const MOST_CHILDREN = 1000;

// BullMQ stores the parent of a job twice: as a key, and with the effects of a failure, which a completed job does not need.
// The latter is nearly always too long for the compact form of a hash, which takes about a third of the memory. Redis never
// returns to that form, so the record is written anew. The first write changes nothing: a full Redis refuses it.
const COMPACT_JOBS: Script = {
  name: 'umbel:compactJobs',
  numberOfKeys: 1,
  lua: `local below = {}
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return below end
local function isLong(key, field)
  local length = redis.pcall('HSTRLEN', key, field)
  return type(length) ~= 'number' or length > ${COMPACT_BYTES}
end
for at = 2, #ARGV do
  local key = ARGV[at]
  if redis.call('HLEN', key .. ':processed') <= ${MOST_CHILDREN} then
    for _, child in ipairs(redis.call('HKEYS', key .. ':processed')) do below[#below + 1] = child end
  end
  local job = redis.call('HMGET', key, 'parent', 'finishedOn', 'failedReason')
  if job[1] and #job[1] > ${COMPACT_BYTES} and job[2] and not job[3] then
    redis.call('HSET', key, 'finishedOn', job[2])
    redis.call('HDEL', key, 'parent')
    if not isLong(key, 'data') and not isLong(key, 'returnvalue') then
      local fields = redis.call('HGETALL', key)
      local isShort = true
      for value = 2, #fields, 2 do isShort = isShort and #fields[value] <= ${COMPACT_BYTES} end
      if isShort then
        redis.call('DEL', key)
        redis.call('HSET', key, unpack(fields))
      end
    end
  end
end
return below`,
};

export function redisCompaction(backend: RedisQueueBackend): CompactionPrimitive {
  return {
    async compactJobs(run, keys) {
      return (await runScript(backend, COMPACT_JOBS, [backend.toKey('completed'), run, ...keys])) as string[];
    },
  };
}

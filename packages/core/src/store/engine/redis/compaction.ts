/** This module implements the command that shrinks the records of completed jobs in Redis (`../../compaction.ts`). */
import type { RedisQueueBackend } from 'bullmq';
import type { CompactionPrimitive } from '../../primitives/ended-jobs.js';
import { runScript, type Script } from './scripts.js';

/** Redis stores a hash compactly unless one of its values is longer (`hash-max-listpack-value`, by default). */
const COMPACT_BYTES = 64;
/** Jobs with more children keep their children as they are: one command would read too many keys. */
const MOST_CHILDREN = 1000;

/** Number of jobs that one command shrinks, unless more are named. */
const SHRUNK_AT_ONCE = 50;

// BullMQ stores the parent of a job twice: as a key, and with the effects of a failure, which a completed job does not need.
// The latter is nearly always too long for the compact form of a hash, which takes about a third of the memory. Redis never
// returns to that form, so the record is written anew. The first write of a command changes nothing: a full Redis refuses it, and
// after a first write it refuses no other one of the command.
const COMPACT_JOBS: Script = {
  name: 'umbel:compactJobs',
  numberOfKeys: 1,
  lua: `local pending, runs = {}, tonumber(ARGV[1])
for index = 2, #ARGV do
  local key = ARGV[index]
  if index > 1 + runs then
    pending[#pending + 1] = key
  elseif redis.call('ZSCORE', KEYS[1], key) then
    pending[#pending + 1] = string.sub(KEYS[1], 1, -#'completed' - 1) .. key
  end
end
local function isLong(key, field)
  local length = redis.pcall('HSTRLEN', key, field)
  return type(length) ~= 'number' or length > ${COMPACT_BYTES}
end
local isAccepted = false
local function compact(key)
  local fields, parent, finishedOn, hasFailed = {}, nil, nil, false
  local isShort = not isLong(key, 'data') and not isLong(key, 'returnvalue')
  if isShort then
    local record = redis.call('HGETALL', key)
    for index = 1, #record, 2 do
      local field, value = record[index], record[index + 1]
      if field == 'parent' then
        parent = value
      else
        if field == 'finishedOn' then finishedOn = value end
        hasFailed = hasFailed or field == 'failedReason'
        isShort = isShort and #value <= ${COMPACT_BYTES}
        fields[#fields + 1], fields[#fields + 2] = field, value
      end
    end
  else
    local job = redis.call('HMGET', key, 'parent', 'finishedOn', 'failedReason')
    parent, finishedOn, hasFailed = job[1], job[2], job[3] ~= false
  end
  if not parent or #parent <= ${COMPACT_BYTES} or not finishedOn or hasFailed then return end
  if not isAccepted then redis.call('HSET', key, 'finishedOn', finishedOn) end
  isAccepted = true
  if not isShort then return redis.call('HDEL', key, 'parent') end
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(fields))
end
for _ = 1, math.max(#pending, ${SHRUNK_AT_ONCE}) do
  local key = table.remove(pending)
  if not key then break end
  local children = key .. ':processed'
  local count = redis.call('HLEN', children)
  if count > 0 and count <= ${MOST_CHILDREN} then
    for _, child in ipairs(redis.call('HKEYS', children)) do pending[#pending + 1] = child end
  end
  compact(key)
end
return pending`,
};

export function redisCompaction(backend: RedisQueueBackend): CompactionPrimitive {
  return {
    async compactJobs({ runs, keys }) {
      const args = [backend.toKey('completed'), runs.length, ...runs, ...keys];
      return (await runScript(backend, COMPACT_JOBS, args)) as string[];
    },
  };
}

/** This module removes the waiting jobs of a queue in slices in Redis. */
import type { RedisQueueBackend } from 'bullmq';
import type { LeftJob, PurgePrimitive } from '../../primitives/purge.js';
import { PURGED_AT_ONCE } from '../commands.js';
import { pairsOf, runScript, type Script } from './scripts.js';

// New jobs are added at the head of `wait`, and workers take from its tail: all jobs beyond the one at the head at the
// start are newer. `pc` counts the jobs added to `prioritized`, and is the lower half of their scores.
const PURGE_START: Script = {
  name: 'umbel:purgeStart',
  numberOfKeys: 2,
  lua: `if ARGV[1] == 'wait' then return { redis.call('LLEN', KEYS[1]), redis.call('LINDEX', KEYS[1], 0) or '' } end
local counter = ARGV[1] == 'prioritized' and redis.call('GET', KEYS[2]) or ''
return { redis.call('ZCARD', KEYS[1]), counter .. ' 0 0' }`,
};

/**
 * Checks one job. Removes it as BullMQ does, with BullMQ's event, if it has no parent and no children; `hasCome` says that
 * it existed at the start. Large data use up the budget of a slice sooner. The next job of a BullMQ job scheduler stays,
 * because the scheduler depends on it.
 */
const LOOK = `local base, sentBy, budget, state = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local removed, seen, left, maxEvents = 0, 0, {}, false
local function isSchedulerJob(id, key)
  local at = key and redis.call('ZSCORE', base .. 'repeat', key)
  return at and id == 'repeat:' .. key .. ':' .. at
end
local function runOf(data)
  if #data > 65536 then return '' end
  local isRead, envelope = pcall(cjson.decode, data)
  if not isRead or type(envelope) ~= 'table' or not envelope.umbel or envelope.alone then return '' end
  return type(envelope.run) == 'string' and envelope.run or ''
end
local function look(id, hasCome)
  local key = base .. id
  local fields = redis.call('HMGET', key, 'parentKey', 'deid', 'timestamp', 'rjk', 'data')
  local parent, deduplication, data = fields[1] or '', fields[2], fields[5] or ''
  budget = budget - 1 - #data / 8192
  local isLater = not hasCome and (tonumber(fields[3]) or 0) > sentBy
  if isLater and string.sub(data, 1, 9) == '{"umbel":' then return 'later' end
  seen = seen + 1
  if isSchedulerJob(id, fields[4]) then return 'stays' end
  local isStep = parent ~= '' or string.find(id, '.', 1, true)
  if isStep or redis.call('EXISTS', key .. ':dependencies', key .. ':processed', key .. ':failed', key .. ':unsuccessful') > 0 then
    budget = budget - 1
    left[#left + 1] = id
    left[#left + 1] = runOf(data)
    return 'left'
  end
  if deduplication and redis.call('GET', base .. 'de:' .. deduplication) == id then
    redis.call('DEL', base .. 'de:' .. deduplication, base .. 'dn:' .. deduplication)
  end
  if redis.call('DEL', key) == 1 then
    redis.call('DEL', key .. ':logs')
    maxEvents = maxEvents or redis.call('HGET', base .. 'meta', 'opts.maxLenEvents') or '10000'
    redis.call('XADD', base .. 'events', 'MAXLEN', '~', maxEvents, '*', 'event', 'removed', 'jobId', id, 'prev', state)
    removed = removed + 1
  end
  return 'gone'
end
`;

/**
 * Checks jobs from the tail of `wait` up to the boundary. Returned jobs that are not settled keep their position, so that
 * they are returned again if the answer is lost. The boundary itself is always returned, and removed once it is settled: a
 * repeated slice without it would remove newer jobs. Jobs that stay are moved to the head in one step, because a removal
 * from the middle of a list scans all of it. The first write frees memory: a full Redis rejects the script before that
 * write or not at all.
 */
const PURGE_LIST: Script = {
  name: 'umbel:purgeList',
  numberOfKeys: 1,
  lua: `${LOOK}
local boundary, settled, isOver = ARGV[5], {}, false
for i = 6, #ARGV do settled[ARGV[i]] = true end
local wanted = budget + #ARGV - 5
local ids = wanted > 0 and redis.call('LRANGE', KEYS[1], -wanted, -1) or {}
local at, held, moved, dropped = #ids, {}, {}, 0
while at > 0 and not isOver do
  local id = ids[at]
  local what = 'held'
  if settled[id] then what = id == boundary and look(id, true) == 'gone' and 'gone' or 'moved'
  elseif budget <= 0 then break
  elseif id == boundary then
    if isSchedulerJob(id, redis.call('HGET', base .. id, 'rjk')) then what = 'moved' end
    seen = seen + 1
    left[#left + 1] = what == 'held' and id or nil
    left[#left + 1] = what == 'held' and '' or nil
    isOver = true
  else
    what = look(id, false)
    -- A step is put in front of newer calls once it may run; a call that is newer has only newer ones behind it.
    if what == 'later' and not string.find(id, '.', 1, true) then
      isOver = true
      break
    end
  end
  if what == 'gone' then dropped = dropped + 1
  elseif what == 'held' or what == 'left' then held[#held + 1] = id
  else moved[#moved + 1] = id end
  at = at - 1
end
if at == 0 and #ids < wanted then isOver = true end
if dropped + #moved > 0 then
  redis.call('LTRIM', KEYS[1], 0, at - #ids - 1)
  for i = #held, 1, -1 do redis.call('RPUSH', KEYS[1], held[i]) end
  for _, id in ipairs(moved) do redis.call('LPUSH', KEYS[1], id) end
end
return { removed, seen, isOver and '' or boundary, left }`,
};

/** Checks sets from the lowest score on: `skip` is the number of jobs with the score `from` that stayed. */
const PURGE_SET: Script = {
  name: 'umbel:purgeSet',
  numberOfKeys: 1,
  lua: `${LOOK}
local counter, from, skip = string.match(ARGV[5], '^(%S*) (%S+) (%S+)$')
counter, skip = tonumber(counter), tonumber(skip)
local wanted = budget
local rows = wanted > 0 and redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'WITHSCORES', 'LIMIT', skip, wanted) or {}
local gone, looked = {}, 0
for i = 1, #rows, 2 do
  if budget <= 0 then break end
  looked = looked + 1
  local id, score = rows[i], rows[i + 1]
  local what = 'later'
  if counter and tonumber(score) % 4294967296 > counter then budget = budget - 1
  else what = look(id, counter ~= nil) end
  if what == 'gone' then gone[#gone + 1] = id
  elseif score == from then skip = skip + 1
  else from, skip = score, 1 end
end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
local isOver = looked * 2 == #rows and looked < wanted
return { removed, seen, isOver and '' or (counter or '') .. ' ' .. from .. ' ' .. skip, left }`,
};

export function redisPurge(backend: RedisQueueBackend): PurgePrimitive {
  return {
    async purgeStart(set) {
      const args = [backend.toKey(set), backend.toKey('pc'), set];
      const [count, cursor] = (await runScript(backend, PURGE_START, args)) as [number, string];
      return { count, cursor, isMoved: set === 'wait' };
    },
    async purgeSlice(set, { cursor, limit, settled, sentBy }) {
      const args = [
        backend.toKey(set),
        backend.toKey(''),
        sentBy,
        Math.min(limit, PURGED_AT_ONCE),
        set,
        cursor,
      ];
      const script = set === 'wait' ? PURGE_LIST : PURGE_SET;
      const answer = await runScript(backend, script, set === 'wait' ? [...args, ...settled] : args);
      const [removed, seen, next, rows] = answer as [number, number, string, string[]];
      const left = pairsOf(rows).map(([id, run]): LeftJob => ({ id, run }));
      return { removed, seen, left, ...(next !== '' && { next }) };
    },
  };
}

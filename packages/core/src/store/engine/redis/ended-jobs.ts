/** This module finds ended jobs in Redis and removes them with all jobs below them. */
import type { RedisQueueBackend } from 'bullmq';
import type {
  ChildKeys,
  ChildResults,
  EndedJob,
  EndedJobs,
  EndedRange,
  EndedSet,
  EndedTimePrimitive,
  TreeState,
} from '../../primitives/ended-jobs.js';
import { NAMES_OF_FIELDS, runScript, type Script } from './scripts.js';

const ENDED_JOBS: Script = {
  name: 'umbel:endedJobs',
  numberOfKeys: 1,
  lua: `local ended = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], ARGV[4], 'WITHSCORES', 'LIMIT', ARGV[3], ARGV[5])
local answer = {}
for i = 1, #ended, 2 do
  local fields = redis.call('HMGET', ARGV[1] .. ended[i], 'opts', 'parentKey')
  local parent = fields[2] or ''
  if parent ~= '' then parent = redis.call('EXISTS', parent) == 1 and 'there' or 'gone' end
  answer[#answer + 1] = { ended[i], ended[i + 1], fields[1] or '', parent }
end
return answer`,
};

// ACL rules for earlier versions of Umbel do not grant UNLINK.
const COMMANDS = `${NAMES_OF_FIELDS}
local function drop(...)
  local answer = redis.pcall('UNLINK', ...)
  return type(answer) == 'table' and redis.call('DEL', ...) or answer
end
`;

const REMOVE_TREES: Script = {
  name: 'umbel:removeTrees',
  numberOfKeys: 1,
  lua: `${COMMANDS}
local PARTS = { ':dependencies', ':processed', ':failed', ':unsuccessful' }
local mode, before, limit, budget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local isForgotten = ARGV[5] == '1'
local maxEvents
local function childrenOf(key, most)
  local counts = { redis.call('SCARD', key .. PARTS[1]), redis.call('HLEN', key .. PARTS[2]),
    redis.call('HLEN', key .. PARTS[3]), redis.call('ZCARD', key .. PARTS[4]) }
  local found = {}
  if counts[1] + counts[2] + counts[3] + counts[4] == 0 then return found end
  if counts[1] + counts[2] + counts[3] + counts[4] > most then return nil end
  local lists = { counts[1] > 0 and redis.call('SMEMBERS', key .. PARTS[1]) or {},
    counts[2] > 0 and namesOfFields(key .. PARTS[2]) or {},
    counts[3] > 0 and namesOfFields(key .. PARTS[3]) or {},
    counts[4] > 0 and redis.call('ZRANGE', key .. PARTS[4], 0, -1) or {} }
  for _, list in ipairs(lists) do
    for _, child in ipairs(list) do
      local id = string.match(child, '[^:]*$')
      if string.find(id, '%.%d+!$') then return nil end
      found[#found + 1] = { string.sub(child, 1, #child - #id), id }
    end
  end
  return found
end
local function treeOf(prefix, id)
  local nodes, seen, rest, open = { { prefix, id } }, {}, {}, {}
  local at = 0
  while at < #nodes do
    at = at + 1
    local base, own = nodes[at][1], nodes[at][2]
    local key = base .. own
    local ended = redis.call('ZSCORE', base .. 'completed', own) or redis.call('ZSCORE', base .. 'failed', own)
    local isOpen = ended and tonumber(ended) > before or not ended and redis.call('EXISTS', key) == 1
    if isOpen and not isForgotten then return 'open' end
    local children = mode == 'job' and {} or childrenOf(key, limit - #nodes)
    if children then
      seen[#seen + 1] = key
      if isOpen then open[#open + 1] = key end
      for _, child in ipairs(children) do nodes[#nodes + 1] = child end
    else rest[#rest + 1] = key end
  end
  return nodes, #open + #rest > 0 and { seen, rest, open } or nil
end
local function remove(base, id)
  local key = base .. id
  local isCompleted = redis.call('ZREM', base .. 'completed', id) == 1
  redis.call('ZREM', base .. 'failed', id)
  if drop(key, key .. ':logs', key .. PARTS[1], key .. PARTS[2], key .. PARTS[3], key .. PARTS[4]) == 0 then return end
  if not isForgotten then return end
  maxEvents = maxEvents or redis.call('HGET', base .. 'meta', 'opts.maxLenEvents') or '10000'
  redis.call('XADD', base .. 'events', 'MAXLEN', '~', maxEvents, '*', 'event', 'removed', 'jobId', id,
    'prev', isCompleted and 'completed' or 'failed')
end
local answer = {}
for i = 6, #ARGV do
  if budget <= 0 then break end
  local nodes, part = treeOf(KEYS[1], ARGV[i])
  budget = budget - (type(nodes) == 'string' and 1 or #nodes)
  if type(nodes) == 'string' then answer[#answer + 1] = nodes
  elseif part then answer[#answer + 1] = part
  else
    answer[#answer + 1] = 'ended'
    if mode ~= 'check' then
      for _, node in ipairs(nodes) do remove(node[1], node[2]) end
    end
  end
end
return answer`,
};

const CHILD_KEYS: Script = {
  name: 'umbel:childKeys',
  numberOfKeys: 1,
  lua: `${COMMANDS}
local PARTS = { ':dependencies', ':processed', ':failed', ':unsuccessful' }
local kind, cursor, page = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local keys = {}
while kind <= #PARTS and #keys < page do
  local part = KEYS[1] .. PARTS[kind]
  local found, next = {}, '0'
  if kind == #PARTS then
    found = redis.call('ZRANGE', part, cursor, cursor + page - 1)
    if #found == page then next = cursor + page end
  elseif kind > 1 and redis.call('HLEN', part) <= 10 * page then found = namesOfFields(part)
  else
    local scanned = redis.call(kind == 1 and 'SSCAN' or 'HSCAN', part, cursor, 'COUNT', page)
    next = scanned[1]
    for i = 1, #scanned[2], kind == 1 and 1 or 2 do found[#found + 1] = scanned[2][i] end
  end
  for _, key in ipairs(found) do keys[#keys + 1] = key end
  cursor = next
  if cursor == '0' then kind = kind + 1 end
end
return { kind <= #PARTS and kind .. ' ' .. cursor or '', keys }`,
};

/** Maximum number of jobs that one script checks, so that it blocks the store for a few milliseconds at most. */
const CHECKED_AT_ONCE = 200;
/** Maximum number of jobs of a tree that one script removes. */
const TREE = 100;
/** Number of children that one command reads. */
const CHILDREN = 500;

export function redisEndedJobs(backend: RedisQueueBackend): EndedJobs {
  return {
    async endedJobs(set: EndedSet, { from, skip, until, limit }: EndedRange): Promise<EndedJob[]> {
      const args = [backend.toKey(set), backend.toKey(''), from, skip, until, limit];
      const rows = (await runScript(backend, ENDED_JOBS, args)) as [string, string, string, string][];
      return rows.map(([id, at, options, parent]) => ({
        id,
        endedAt: Number(at),
        options,
        parent: parent === 'there' || parent === 'gone' ? parent : 'none',
      }));
    },
    async removeTrees(ids, { mode, until, isForgotten }): Promise<TreeState[]> {
      const limits = [until, TREE, CHECKED_AT_ONCE, isForgotten ? 1 : 0];
      const args = [backend.toKey(''), mode, ...limits, ...ids];
      const answer = await runScript(backend, REMOVE_TREES, args);
      return (answer as ('ended' | 'open' | [string[], string[], string[]])[]).map((state) => {
        if (typeof state === 'string') return state;
        const [seen, rest, open] = state;
        return { seen, rest, open };
      });
    },
    async childKeys(id, page = '1 0'): Promise<ChildKeys> {
      const args = [backend.toKey(id), ...page.split(' '), CHILDREN];
      const [next, keys] = (await runScript(backend, CHILD_KEYS, args)) as [string, string[]];
      return { keys, ...(next !== '' && { next }) };
    },
  };
}

const ENDED_AT: Script = {
  name: 'umbel:endedAt',
  numberOfKeys: 1,
  lua: `return redis.call('ZSCORE', KEYS[1], ARGV[1])`,
};

export function redisEndedTimes(backend: RedisQueueBackend): EndedTimePrimitive {
  return {
    async endedAt(set, jobId) {
      const score = await runScript(backend, ENDED_AT, [backend.toKey(set), jobId]);
      return score === null ? undefined : Number(score);
    },
  };
}

const REMOVE_CHILD_RESULTS: Script = {
  name: 'umbel:removeChildResults',
  numberOfKeys: 2,
  lua: `for _, child in ipairs(ARGV) do
  redis.call('HDEL', KEYS[1], child)
  redis.call('HDEL', KEYS[2], child)
end`,
};

export function redisChildResults(backend: RedisQueueBackend): ChildResults {
  return {
    async removeChildResults(jobId, childKeys) {
      const key = backend.toKey(jobId);
      const args = [`${key}:processed`, `${key}:failed`, ...childKeys];
      await runScript(backend, REMOVE_CHILD_RESULTS, args);
    },
  };
}

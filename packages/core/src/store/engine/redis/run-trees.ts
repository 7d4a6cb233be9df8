/** This module reads jobs of a run with all that they wait for, many levels with one command of Redis. */
import type { RedisQueueBackend } from 'bullmq';
import type { ChildNumbersPrimitive, RunTreePrimitive, TreeJob } from '../../primitives/run-trees.js';
import { NAMES_OF_FIELDS, pairsOf, runScript, type Script } from './scripts.js';

/** Maximum number of jobs in an answer, so that the command takes some 2 ms. */
const JOBS = 100;
/** Maximum number of bytes of records in an answer; the last job may exceed it by its failure. */
const ANSWER_BYTES = 262_144;
/** The children of a job with more of them are not listed. */
const LISTED_CHILDREN = 100;
/** The children of a job with more of them are not read: of a large group only some are needed. */
const READ_CHILDREN = 20;

/** A longer list of waiting or running jobs is not searched: that would take as long as the list is. */
const SEARCHED_JOBS = 1000;

/**
 * A job in no sorted set waits or runs. If too many jobs wait to search them, one that does not run counts as waiting. An active
 * job is passed, because its handler may show a state of its own; those below it may be of use.
 */
const READ_RUN_TREE: Script = {
  name: 'umbel:readRunTree',
  numberOfKeys: 1,
  lua: `${NAMES_OF_FIELDS}
local most, budget, listed, read = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local searched = tonumber(ARGV[6])
local STATES = { 'completed', 'failed', 'waiting-children', 'delayed', 'prioritized' }
local lengths = {}
local function lengthOf(key)
  lengths[key] = lengths[key] or redis.call('LLEN', key)
  return lengths[key]
end
local function isListed(key, id) return lengthOf(key) > 0 and redis.call('LPOS', key, id) end
local function stateOf(base, id)
  for _, state in ipairs(STATES) do
    if redis.call('ZSCORE', base .. state, id) then return state end
  end
  if redis.call('EXISTS', base .. id) == 0 then return 'unknown' end
  if lengthOf(base .. 'active') > searched or isListed(base .. 'active', id) then return '' end
  if lengthOf(base .. 'wait') + lengthOf(base .. 'paused') > searched then return 'waiting' end
  return (isListed(base .. 'wait', id) or isListed(base .. 'paused', id)) and 'waiting' or ''
end
local function fieldsOf(key)
  local size = redis.pcall('HSTRLEN', key, 'data')
  if type(size) == 'table' or size > budget then return nil end
  local fields = redis.call('HMGET', key, 'name', 'data', 'timestamp', 'attemptsMade', 'atm', 'processedOn',
    'finishedOn', 'failedReason')
  for _, field in ipairs(fields) do
    if field then budget = budget - #field end
  end
  return fields
end
local function childrenOf(key)
  local open, ended, failed = key .. ':dependencies', key .. ':processed', key .. ':failed'
  local counts = { redis.call('SCARD', open), redis.call('HLEN', ended), redis.call('HLEN', failed) }
  if counts[1] + counts[2] + counts[3] > listed then return false end
  return { counts[1] > 0 and redis.call('SMEMBERS', open) or {}, counts[2] > 0 and namesOfFields(ended) or {},
    counts[3] > 0 and redis.call('HGETALL', failed) or {} }
end
local jobs, answer = { { KEYS[1], ARGV[1] } }, {}
local function add(key)
  local id = string.match(key, '[^:]*$')
  if not string.find(id, '/%d+$') then jobs[#jobs + 1] = { string.sub(key, 1, #key - #id), id } end
end
local at = 0
while at < #jobs and at < most and budget > 0 do
  at = at + 1
  local base, id = jobs[at][1], jobs[at][2]
  local key = base .. id
  local state = stateOf(base, id)
  local fields = fieldsOf(key)
  if not fields then state = '' end
  local children = childrenOf(key)
  answer[#answer + 1] = { key, state, state ~= '' and fields or false, state ~= '' and children or false }
  if children and #children[1] + #children[2] + #children[3] / 2 <= read then
    for _, child in ipairs(children[1]) do add(child) end
    for _, child in ipairs(children[2]) do add(child) end
    for index = 1, #children[3], 2 do add(children[3][index]) end
  end
end
return answer`,
};

/** Number of jobs whose children one command counts, in some 0.2 ms. */
const COUNTED_JOBS = 100;

const COUNT_CHILDREN: Script = {
  name: 'umbel:countChildren',
  numberOfKeys: 1,
  lua: `local counts = {}
for index = 2, #ARGV do
  local key = ARGV[1] .. ARGV[index]
  counts[index - 1] = { redis.call('SCARD', key .. ':dependencies'), redis.call('HLEN', key .. ':processed'),
    redis.call('HLEN', key .. ':failed') }
end
return counts`,
};

type Row = [
  key: string,
  state: NonNullable<TreeJob['state']> | '',
  fields: (string | null)[] | null,
  children: [string[], string[], string[]] | null,
];

export function redisRunTrees(backend: RedisQueueBackend): RunTreePrimitive & Partial<ChildNumbersPrimitive> {
  return {
    // Scripts of Dragonfly must declare all their keys.
    ...(backend.databaseType !== 'dragonfly' && { childNumbers: (ids) => childNumbers(backend, ids) }),
    async readRunTree(id) {
      if (backend.databaseType === 'dragonfly') return []; // its scripts must declare all their keys
      const args = [backend.toKey(''), id, JOBS, ANSWER_BYTES, LISTED_CHILDREN, READ_CHILDREN, SEARCHED_JOBS];
      return ((await runScript(backend, READ_RUN_TREE, args)) as Row[]).map(treeJobOf);
    },
  };
}

async function childNumbers(backend: RedisQueueBackend, ids: readonly string[]) {
  const keys = [backend.toKey('completed'), backend.toKey('')];
  const slices: (readonly string[])[] = [];
  for (let start = 0; start < ids.length; start += COUNTED_JOBS)
    slices.push(ids.slice(start, start + COUNTED_JOBS));
  const counts = await Promise.all(
    slices.map(
      (slice) =>
        runScript(backend, COUNT_CHILDREN, [...keys, ...slice]) as Promise<[number, number, number][]>,
    ),
  );
  return counts.flat().map(([unprocessed, processed, ignored]) => ({ unprocessed, processed, ignored }));
}

function treeJobOf([key, state, fields, children]: Row): TreeJob {
  const found = fields?.map((field) => field ?? undefined);
  const [name, data, timestamp, attemptsMade, atm, processedOn, finishedOn, failedReason] = found ?? [];
  const isStored = found?.some((field) => field !== undefined);
  return {
    key,
    state: state === '' ? undefined : state,
    fields: isStored
      ? {
          name,
          data,
          timestamp,
          attemptsMade: attemptsMade ?? atm,
          processedOn,
          finishedOn,
          failedReason,
        }
      : undefined,
    children: children === null ? undefined : childKindsOf(children),
  };
}

function childKindsOf([unprocessed, processed, failed]: [string[], string[], string[]]): NonNullable<
  TreeJob['children']
> {
  return { unprocessed, processed, ignored: pairsOf(failed) };
}

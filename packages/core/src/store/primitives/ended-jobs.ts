/** Jobs that have ended: they are found, and removed with all below them. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { runScript, type Script } from './scripts.js';

export type EndedSet = 'completed' | 'failed';

/** Jobs of a set by when they ended, the earliest first. */
export interface EndedRange {
  /** In milliseconds since 1970, included like `until`. */
  readonly from: number;
  /** Jobs that are passed over, of those that ended at `from`. */
  readonly skip: number;
  readonly until: number;
  readonly limit: number;
}

export interface EndedJob {
  readonly id: string;
  readonly endedAt: number;
  /** JSON text; empty for a job whose record is gone. */
  readonly options: string;
  /** Whether it has a job that waits, or has waited, for it, and whether the store still holds that one. */
  readonly parent: 'none' | 'there' | 'gone';
}

/** What a look at a job and all below it has found: all ended long enough ago; one has not; too many for one command. */
export type TreeState = 'ended' | 'open' | 'large';

/** A page of the children of a job, as the keys by which jobs refer to each other. */
export interface ChildKeys {
  readonly keys: readonly string[];
  /** Absent on the last page. */
  readonly next?: string;
}

export interface Removal {
  /** Jobs with all below them, or by themselves; with `check` nothing is removed. */
  readonly mode: 'tree' | 'job' | 'check';
  /** Only jobs that ended by then, in milliseconds since 1970. */
  readonly until: number;
}

export interface EndedJobs {
  endedJobs(set: EndedSet, range: EndedRange): Promise<EndedJob[]>;
  /**
   * Removes jobs that have ended, each as a whole or not at all. Answers for the first of the ids at least, and for as
   * many as one command can look at. A job above probes (`workflow/join.ts`) is `'large'`: what it has left behind is found
   * by its data.
   */
  removeTrees(ids: readonly string[], removal: Removal): Promise<TreeState[]>;
  childKeys(id: string, page?: string): Promise<ChildKeys>;
}

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

const REMOVE_TREES: Script = {
  name: 'umbel:removeTrees',
  numberOfKeys: 1,
  lua: `local PARTS = { ':dependencies', ':processed', ':failed', ':unsuccessful' }
local mode, before, limit, budget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function listed(key)
  return { redis.call('SMEMBERS', key .. PARTS[1]), redis.call('HKEYS', key .. PARTS[2]),
    redis.call('HKEYS', key .. PARTS[3]), redis.call('ZRANGE', key .. PARTS[4], 0, -1) }
end
local function treeOf(prefix, id)
  local nodes = { { prefix, id } }
  local at = 0
  while at < #nodes do
    at = at + 1
    local base, own = nodes[at][1], nodes[at][2]
    local key = base .. own
    local ended = redis.call('ZSCORE', base .. 'completed', own) or redis.call('ZSCORE', base .. 'failed', own)
    if ended and tonumber(ended) > before then return 'open' end
    if not ended and redis.call('EXISTS', key) == 1 then return 'open' end
    if mode ~= 'job' then
      local count = redis.call('SCARD', key .. PARTS[1]) + redis.call('HLEN', key .. PARTS[2])
        + redis.call('HLEN', key .. PARTS[3]) + redis.call('ZCARD', key .. PARTS[4])
      if #nodes + count > limit then return 'large' end
      if count > 0 then
        for _, children in ipairs(listed(key)) do
          for _, child in ipairs(children) do
            local childId = string.match(child, '[^:]*$')
            if string.find(childId, '%.%d+!$') then return 'large' end
            nodes[#nodes + 1] = { string.sub(child, 1, #child - #childId), childId }
          end
        end
      end
    end
  end
  return nodes
end
local answer = {}
for i = 5, #ARGV do
  if budget <= 0 then break end
  local nodes = treeOf(KEYS[1], ARGV[i])
  if type(nodes) == 'string' then
    answer[#answer + 1] = nodes
    budget = budget - (nodes == 'large' and limit or 1)
  else
    answer[#answer + 1] = 'ended'
    budget = budget - #nodes
    if mode ~= 'check' then
      for _, node in ipairs(nodes) do
        local key = node[1] .. node[2]
        redis.call('ZREM', node[1] .. 'completed', node[2])
        redis.call('ZREM', node[1] .. 'failed', node[2])
        redis.call('UNLINK', key, key .. ':logs', key .. PARTS[1], key .. PARTS[2], key .. PARTS[3], key .. PARTS[4])
      end
    end
  end
end
return answer`,
};

const CHILD_KEYS: Script = {
  name: 'umbel:childKeys',
  numberOfKeys: 1,
  lua: `local PARTS = { ':dependencies', ':processed', ':failed', ':unsuccessful' }
local SCANS = { 'SSCAN', 'HSCAN', 'HSCAN', 'ZSCAN' }
local kind, cursor, page = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local keys = {}
while kind <= #PARTS and #keys < page do
  local part = KEYS[1] .. PARTS[kind]
  if SCANS[kind] == 'HSCAN' and redis.call('HLEN', part) <= 10 * page then
    for _, key in ipairs(redis.call('HKEYS', part)) do keys[#keys + 1] = key end
    cursor = '0'
  else
    local found = redis.call(SCANS[kind], part, cursor, 'COUNT', page)
    for i = 1, #found[2], kind == 1 and 1 or 2 do keys[#keys + 1] = found[2][i] end
    cursor = found[1]
  end
  if cursor == '0' then kind = kind + 1 end
end
return { kind <= #PARTS and kind .. ' ' .. cursor or '', keys }`,
};

/** The commands that a look for jobs to remove takes; undefined where the backend has none of its own. */
export function endedJobsIn(backend: IQueueBackend): EndedJobs | undefined {
  if (backend instanceof RedisQueueBackend) return redisEndedJobs(backend);
  return 'endedJobs' in backend && 'removeTrees' in backend && 'childKeys' in backend
    ? (backend as IQueueBackend & EndedJobs)
    : undefined;
}

/** Jobs that one script looks at, so that it holds the store for a few milliseconds at most. */
const LOOKED_AT = 200;
/** Jobs of one tree that a script removes at once. */
const TREE = 100;
/** Children that are read at once. */
const CHILDREN = 500;

function redisEndedJobs(backend: RedisQueueBackend): EndedJobs {
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
    async removeTrees(ids, { mode, until }): Promise<TreeState[]> {
      const args = [backend.toKey(''), mode, until, TREE, LOOKED_AT, ...ids];
      return (await runScript(backend, REMOVE_TREES, args)) as TreeState[];
    },
    async childKeys(id, page = '1 0'): Promise<ChildKeys> {
      const args = [backend.toKey(id), ...page.split(' '), CHILDREN];
      const [next, keys] = (await runScript(backend, CHILD_KEYS, args)) as [string, string[]];
      return { keys, ...(next !== '' && { next }) };
    },
  };
}

export interface EndedTimePrimitive {
  /**
   * When a job of the set has ended, by its place there; undefined if it is in none. Without it, one whose record is gone
   * counts as ended when its neighbour did, and a list that ends there may give it twice.
   */
  endedAt(set: EndedSet, jobId: string): Promise<number | undefined>;
}

const ENDED_AT: Script = {
  name: 'umbel:endedAt',
  numberOfKeys: 1,
  lua: `return redis.call('ZSCORE', KEYS[1], ARGV[1])`,
};

/** Of a store that has it. */
export function endedTimesIn(backend: IQueueBackend): EndedTimePrimitive | undefined {
  if (!(backend instanceof RedisQueueBackend))
    return 'endedAt' in backend ? (backend as IQueueBackend & EndedTimePrimitive) : undefined;
  return {
    async endedAt(set, jobId) {
      const score = await runScript(backend, ENDED_AT, [backend.toKey(set), jobId]);
      return score === null ? undefined : Number(score);
    },
  };
}

// Events that are too old to be kept.

export interface OldEvents {
  /**
   * Removes the events of a queue that were written before a moment, in milliseconds since 1970; the newest one stays, so
   * that a reader that has read all finds its place again. Without it, events go only when 10,000 newer ones have come.
   * The memory store has no such command: it ends with its process, and its clock may skip days before a reader reads.
   */
  removeOldEvents(before: number): Promise<void>;
}

const REMOVE_OLD_EVENTS: Script = {
  name: 'umbel:removeOldEvents',
  numberOfKeys: 1,
  lua: `if redis.call('XREAD', 'COUNT', 1, 'STREAMS', KEYS[1], ARGV[1]) then
  return redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
end
return redis.call('XTRIM', KEYS[1], 'MAXLEN', 1)`,
};

/** Of a store that has it. */
export function oldEventsIn(backend: IQueueBackend): OldEvents | undefined {
  if (!(backend instanceof RedisQueueBackend)) return undefined;
  return {
    async removeOldEvents(before) {
      await runScript(backend, REMOVE_OLD_EVENTS, [backend.toKey('events'), Math.max(0, Math.floor(before))]);
    },
  };
}

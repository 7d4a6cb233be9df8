/**
 * What Umbel needs of a store and BullMQ's contract has no command for. A backend that is no Redis may have methods of
 * these names; without them Umbel works too, and loses what the comments say.
 */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import type { RateLimit } from '../tasks/rate.js';
import type { ChildKeys, EndedJob, EndedJobs, EndedRange, EndedSet, TreeState } from './ended-jobs.js';

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
  /**
   * Writes something that is gone at once. Rejects if the store refuses to write: it is full, a replica, or lacks its own
   * replicas. Without it, a refusal is noticed by the next sweep only.
   */
  tryWrite?(): Promise<void>;
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

export interface EndedTimePrimitive {
  /**
   * When a job of the set has ended, by its place there; undefined if it is in none. Without it, one whose record is gone
   * counts as ended when its neighbour did, and a list that ends there may give it twice.
   */
  endedAt(set: EndedSet, jobId: string): Promise<number | undefined>;
}

/** Some of the queues of a store, by their qualified names. */
interface QueueNames {
  readonly names: readonly string[];
  /** Whether no other ones are there: a large store is looked at in part. */
  readonly isComplete: boolean;
}

export interface QueueNamePrimitive {
  /** Queues whose qualified names begin so, and that were used. Looks at a bounded number of keys; of a cluster, at those of one node. */
  queueNames(start: string): Promise<QueueNames>;
}

/** What a call or a run bears, by hashes of its tags. */
export interface TagNote extends TaggedEntry {
  /** 32 characters each; at most 20. */
  readonly tags: readonly string[];
  /** When it is looked at next. */
  readonly checkAt: number;
}

/** Where something is that bears a tag, and when it was noted, in milliseconds since 1970. */
export interface TaggedEntry {
  readonly queue: string;
  readonly id: string;
  readonly at: number;
}

/** The index of tags. Without it, tags are noted by the day, and what waits for longer than results are kept is lost. */
export interface TagPrimitives {
  /** Notes all of it, in one command. The same again changes nothing. */
  noteTags(notes: readonly TagNote[]): Promise<void>;
  /** What bears a tag, the latest first: `limit` of them, from one on, or behind it. */
  findTagged(
    tag: string,
    limit: number,
    from: TaggedEntry | undefined,
    isBehind: boolean,
  ): Promise<readonly TaggedEntry[]>;
  /**
   * Looks at most at `limit` notes that are due: takes those away whose job is gone, and says of others when they are due
   * again. Gives how many it has looked at.
   */
  checkTags(
    now: number,
    limit: number,
    keeping: { readonly completedMs: number; readonly failedMs: number },
  ): Promise<number>;
}

/**
 * When a note is due again whose job is there: one that has ended, once it has been kept for its time, then every half
 * an hour; others at growing intervals, at least once a day.
 */
const TAG_CHECKS = { soonMs: 600_000, overdueMs: 1_800_000, longestMs: 86_400_000, ageShare: 8 };

/** Characters of a moment in an index, so that text is in the order of time. */
const AT_DIGITS = 9;

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
  // An entry of the index is a tag, a moment and a place; a note is a moment, a place and its tags.
  'umbel:noteTags': {
    numberOfKeys: 2,
    lua: `local entries = {}
for at = 1, #ARGV, 2 do
  local note = ARGV[at + 1]
  local gap = string.find(note, ' [%w_-]*$')
  for tag = gap + 1, #note, 32 do
    entries[#entries + 1] = '0'
    entries[#entries + 1] = string.sub(note, tag, tag + 31) .. string.sub(note, 1, gap - 1)
  end
end
redis.call('ZADD', KEYS[2], unpack(ARGV))
redis.call('ZADD', KEYS[1], unpack(entries))
return 1`,
  },
  'umbel:findTagged': {
    numberOfKeys: 1,
    lua: `return redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])`,
  },
  'umbel:checkTags': {
    numberOfKeys: 2,
    lua: `local now = tonumber(ARGV[1])
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, note in ipairs(due) do
  local gap = string.find(note, ' [%w_-]*$')
  local slash = string.find(note, '/', 1, true)
  local queue = ARGV[3] .. string.sub(note, ${AT_DIGITS + 1}, slash - 1) .. ':'
  local id = string.sub(note, slash + 1, gap - 1)
  if redis.call('EXISTS', queue .. id) == 1 then
    local ended = tonumber(redis.call('HGET', queue .. id, 'finishedOn'))
    local nextAt
    if ended then
      local kept = redis.call('ZSCORE', queue .. 'failed', id) and ARGV[5] or ARGV[4]
      nextAt = ended + tonumber(kept) + 1000
      if nextAt <= now then nextAt = now + ${TAG_CHECKS.overdueMs} end
    else
      local age = now - tonumber(string.sub(note, 1, ${AT_DIGITS}), 36)
      nextAt = now + math.min(math.max(math.floor(age / ${TAG_CHECKS.ageShare}), ${TAG_CHECKS.soonMs}), ${TAG_CHECKS.longestMs})
    end
    redis.call('ZADD', KEYS[2], nextAt, note)
  else
    local entries = {}
    for tag = gap + 1, #note, 32 do
      entries[#entries + 1] = string.sub(note, tag, tag + 31) .. string.sub(note, 1, gap - 1)
    end
    redis.call('ZREM', KEYS[1], unpack(entries))
    redis.call('ZREM', KEYS[2], note)
  end
end
return #due`,
  },
  'umbel:endedJobs': {
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
  },
  'umbel:queueNames': {
    numberOfKeys: 1,
    lua: `local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local names = {}
for _, key in ipairs(page[2]) do
  local name = string.match(key, '^(.*):id$') or string.match(key, '^(.*%.control):events$')
  if name then names[#names + 1] = name end
end
return { page[1], names }`,
  },
  'umbel:endedAt': {
    numberOfKeys: 1,
    lua: `return redis.call('ZSCORE', KEYS[1], ARGV[1])`,
  },
  'umbel:removeTrees': {
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
  },
  'umbel:childKeys': {
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
  },
} as const;

/** The commands that a look for jobs to remove takes; undefined where the backend has none of its own. */
export function endedJobsIn(backend: IQueueBackend): EndedJobs | undefined {
  if (backend instanceof RedisQueueBackend) return redisEndedJobs(backend);
  return 'endedJobs' in backend && 'removeTrees' in backend && 'childKeys' in backend
    ? (backend as IQueueBackend & EndedJobs)
    : undefined;
}

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

/** Of a store that has it. */
export function endedTimesIn(backend: IQueueBackend): EndedTimePrimitive | undefined {
  if (!(backend instanceof RedisQueueBackend))
    return 'endedAt' in backend ? (backend as IQueueBackend & EndedTimePrimitive) : undefined;
  return {
    async endedAt(set, jobId) {
      const score = await runScript(backend, 'umbel:endedAt', [backend.toKey(set), jobId]);
      return score === null ? undefined : Number(score);
    },
  };
}

/** Of a store that has it. */
export function queueNamesIn(backend: IQueueBackend): QueueNamePrimitive | undefined {
  if (backend instanceof RedisQueueBackend) return { queueNames: (start) => redisQueueNames(backend, start) };
  return 'queueNames' in backend ? (backend as IQueueBackend & QueueNamePrimitive) : undefined;
}

/** Keys that are looked at for names of queues: in one command, which takes about a millisecond, and in all. */
const NAMES = { atOnce: 1000, pages: 300 };

/** Keys of meta data are left by looking; those of ids by the first job of a queue, and events of control by a worker. */
async function redisQueueNames(backend: RedisQueueBackend, start: string): Promise<QueueNames> {
  const pattern = `${start.replaceAll(/[*?[\]\\^]/g, '\\$&')}*`;
  const names = new Set<string>();
  let cursor = '0';
  for (let page = 0; page < NAMES.pages; page += 1) {
    const args = [backend.toKey('meta'), cursor, pattern, NAMES.atOnce];
    const [next, found] = (await runScript(backend, 'umbel:queueNames', args)) as [string, string[]];
    for (const name of found) names.add(name);
    cursor = next;
    if (cursor === '0') break;
  }
  return { names: [...names], isComplete: cursor === '0' };
}

/** The index of tags of a store; undefined if it has none. */
export function tagPrimitivesOf(backend: IQueueBackend): TagPrimitives | undefined {
  if (backend instanceof RedisQueueBackend) return redisTags(backend);
  return 'noteTags' in backend && 'findTagged' in backend && 'checkTags' in backend
    ? (backend as IQueueBackend & TagPrimitives)
    : undefined;
}

const prepared = new WeakSet<object>();

async function runScript(
  backend: RedisQueueBackend,
  script: keyof typeof SCRIPTS,
  args: (string | number)[],
): Promise<unknown> {
  const client = await backend.connection.client;
  if (!prepared.has(client)) {
    prepared.add(client);
    for (const [name, each] of Object.entries(SCRIPTS)) client.defineCommand(name, each);
  }
  return client.runCommand(script, args);
}

function redisPrimitives(backend: RedisQueueBackend): Primitives & LimitPrimitive {
  const run = async (script: keyof typeof SCRIPTS, ...args: (string | number)[]) =>
    (await runScript(backend, script, args)) === 1;
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
    tryWrite: async () => {
      const client = await backend.connection.client;
      await client.set(backend.toKey('try-write'), '', { PX: 1 });
    },
  };
}

function redisTags(backend: RedisQueueBackend): TagPrimitives {
  const index = backend.toKey('index');
  const due = backend.toKey('due');
  const { qualifiedName } = backend;
  const prefix = qualifiedName.slice(0, qualifiedName.lastIndexOf(':') + 1);
  return {
    async noteTags(notes) {
      const args = notes.flatMap((note) => [note.checkAt, `${placeText(note)} ${note.tags.join('')}`]);
      await runScript(backend, 'umbel:noteTags', [index, due, ...args]);
    },
    async findTagged(tag, limit, from, isBehind) {
      // `{` comes after every digit.
      const start = from === undefined ? `(${tag}{` : `${isBehind ? '(' : '['}${tag}${placeText(from)}`;
      const found = await runScript(backend, 'umbel:findTagged', [index, start, `[${tag}`, limit]);
      return (found as string[]).map((entry) => placeIn(entry.slice(tag.length)));
    },
    async checkTags(now, limit, { completedMs, failedMs }) {
      const args = [index, due, now, limit, prefix, completedMs, failedMs];
      return Number(await runScript(backend, 'umbel:checkTags', args));
    },
  };
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
      const rows = (await runScript(backend, 'umbel:endedJobs', args)) as [string, string, string, string][];
      return rows.map(([id, at, options, parent]) => ({
        id,
        endedAt: Number(at),
        options,
        parent: parent === 'there' || parent === 'gone' ? parent : 'none',
      }));
    },
    async removeTrees(ids, { mode, until }): Promise<TreeState[]> {
      const args = [backend.toKey(''), mode, until, TREE, LOOKED_AT, ...ids];
      return (await runScript(backend, 'umbel:removeTrees', args)) as TreeState[];
    },
    async childKeys(id, page = '1 0'): Promise<ChildKeys> {
      const args = [backend.toKey(id), ...page.split(' '), CHILDREN];
      const [next, keys] = (await runScript(backend, 'umbel:childKeys', args)) as [string, string[]];
      return { keys, ...(next !== '' && { next }) };
    },
  };
}

function placeText({ at, queue, id }: TaggedEntry): string {
  return `${Math.max(0, Math.floor(at)).toString(36).padStart(AT_DIGITS, '0')}${queue}/${id}`;
}

function placeIn(text: string): TaggedEntry {
  const place = text.slice(AT_DIGITS);
  const slash = place.indexOf('/');
  return {
    at: Number.parseInt(text.slice(0, AT_DIGITS), 36),
    queue: place.slice(0, slash),
    id: place.slice(slash + 1),
  };
}

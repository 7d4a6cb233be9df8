/** This module reads the records and states of many jobs of a queue with one command of Redis. */
import type { RedisQueueBackend } from 'bullmq';
import type { JobRecord, JobRecordsPrimitive, OtherJob } from '../../primitives/job-records.js';
import { NAMES_OF_FIELDS, pairsOf, runScript, type Script } from './scripts.js';

/** Maximum number of bytes of records in an answer; the last one may exceed it by its stacks. */
const ANSWER_BYTES = 524_288;
/** A longer list of waiting jobs is not searched. */
const SEARCHED_JOBS = 1000;

/** The result is left out: it may be long, and no list shows it. */
const READ_RECORDS: Script = {
  name: 'umbel:readRecords',
  numberOfKeys: 1,
  lua: `${NAMES_OF_FIELDS}
local base, budget, searched = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local SETS = { 'completed', 'failed', 'delayed', 'prioritized', 'waiting-children' }
local LISTS = { { 'active', 'active' }, { 'wait', 'waiting' }, { 'paused', 'paused' } }
local waiting = redis.call('LLEN', base .. 'wait') + redis.call('LLEN', base .. 'paused')
local function stateOf(id, isStored)
  for _, set in ipairs(SETS) do
    if redis.call('ZSCORE', base .. set, id) then return set end
  end
  for index, list in ipairs(LISTS) do
    if index > 1 and waiting > searched then return isStored and 'waiting' or 'unknown' end
    if redis.call('LPOS', base .. list[1], id) then return list[2] end
  end
  return 'unknown'
end
local function fieldsOf(key)
  local size = redis.pcall('HSTRLEN', key, 'data')
  if type(size) == 'table' or size > budget then return nil end
  local names = {}
  for _, name in ipairs(namesOfFields(key)) do
    if name ~= 'returnvalue' then names[#names + 1] = name end
  end
  if #names == 0 then return {} end
  local values, fields = redis.call('HMGET', key, unpack(names)), {}
  for index, name in ipairs(names) do
    fields[2 * index - 1], fields[2 * index] = name, values[index] or ''
    budget = budget - #fields[2 * index]
  end
  return fields
end
local withState, asked, answers = ARGV[4] == '1', ARGV[5], {}
local function endOfOther(key)
  if asked == '' then return nil end
  local fields = redis.pcall('HMGET', key, 'name', 'finishedOn')
  if fields.err or not fields[1] or fields[1] == '' or fields[1] == asked then return nil end
  return fields[2] or ''
end
for at = 6, #ARGV do
  local id = ARGV[at]
  local key = base .. id
  local finishedAt = endOfOther(key)
  local fields = not finishedAt and budget > 0 and fieldsOf(key)
  if finishedAt then
    answers[#answers + 1] = { 'other', 0, { finishedAt } }
  elseif fields and not withState then
    answers[#answers + 1] = { '', 0, fields }
  elseif fields then
    local children = redis.call('EXISTS', key .. ':dependencies', key .. ':processed', key .. ':failed',
      key .. ':unsuccessful')
    answers[#answers + 1] = { stateOf(id, #fields > 0), children, fields }
  else
    answers[#answers + 1] = false
  end
end
return answers`,
};

type Row = [state: string, children: number, fields: string[]] | null;

const NONE = { json: undefined, state: undefined, hasChildren: undefined };

function otherJob([finishedAt = '']: readonly string[]): OtherJob {
  const at = Number.parseInt(finishedAt, 10);
  return Number.isNaN(at) ? {} : { finishedAt: at };
}

export function redisJobRecords(backend: RedisQueueBackend): JobRecordsPrimitive {
  return {
    async readRecords(ids, { withState, name = '' }) {
      if (backend.databaseType === 'dragonfly') return []; // its scripts must declare all their keys
      const keys = [backend.toKey('completed'), backend.toKey('')];
      const rows = await runScript(backend, READ_RECORDS, [
        ...keys,
        ANSWER_BYTES,
        SEARCHED_JOBS,
        withState ? 1 : 0,
        name,
        ...ids,
      ]);
      const hashes = new Map<string, Record<string, string>>();
      for (const [index, row] of (rows as Row[]).entries())
        if (row !== null && row[0] !== 'other')
          hashes.set(backend.toKey(ids[index] ?? ''), Object.fromEntries(pairsOf(row[2])));
      const reading = answering(backend, hashes);
      return Promise.all(
        (rows as Row[]).map(async (row, index): Promise<JobRecord | undefined> => {
          if (row === null) return undefined;
          if (row[0] === 'other') return { ...NONE, other: otherJob(row[2]) };
          const json = await reading.getJobData(ids[index] ?? '').catch(() => 'unreadable' as const);
          if (json === 'unreadable') return undefined; // read by itself, which says what is wrong with it
          if (!withState) return { state: undefined, hasChildren: undefined, json };
          return { state: row[0], hasChildren: row[1] > 0, json };
        }),
      );
    },
  };
}

/** Returns the backend with a client that has read these hashes: BullMQ's own method converts them to its form. */
function answering(
  backend: RedisQueueBackend,
  hashes: ReadonlyMap<string, Record<string, string>>,
): RedisQueueBackend {
  const { queue } = backend as unknown as { readonly queue: object }; // hidden by BullMQ's types
  const client = Promise.resolve({ hgetall: (key: string) => Promise.resolve(hashes.get(key) ?? {}) });
  return Object.create(backend, {
    queue: { value: Object.create(queue, { client: { value: client } }) },
  }) as RedisQueueBackend;
}

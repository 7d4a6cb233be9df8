/** This module reads the state of many jobs of a queue, and the range of its events, in one step of Redis. */
import type { RedisQueueBackend } from 'bullmq';
import type { LookPrimitive } from '../../primitives/looks.js';
import { JOB_STATUS } from '../commands.js';
import { runScript, type Script } from './scripts.js';

/** Maximum number of bytes of results and progress in one answer. */
const ANSWER_BYTES = 1_048_576;

const LOOK_AT_JOBS: Script = {
  name: 'umbel:lookAtJobs',
  numberOfKeys: 3,
  lua: `local base, followed, budget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function read(key, field)
  local value = redis.call('HGET', key, field)
  if not value or #value > budget then return false end
  budget = budget - #value
  return value
end
local seen = {}
for i = 4, #ARGV do
  local id, index = ARGV[i], i - 4
  local key = base .. id
  local kind = redis.call('TYPE', key)
  kind = kind.ok or kind
  local status, field, text, progress = 0, false, false, false
  if kind == 'none' then status = -1
  elseif redis.call('ZSCORE', KEYS[1], id) then status, field = 1, 'returnvalue'
  elseif redis.call('ZSCORE', KEYS[2], id) then status, field = 2, 'failedReason' end
  if kind == 'hash' then
    if field then text = read(key, field) end
    if index < followed then progress = read(key, 'progress') end
  elseif field then status = -2 end
  if status ~= 0 or progress then seen[#seen + 1] = { index, status, text, progress } end
end
local last = redis.pcall('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
if last.err then return { false, false, seen } end
if not last[1] then return { '', '', seen } end
local first = redis.call('XREAD', 'COUNT', 1, 'STREAMS', KEYS[3], '0-0')
return { first[1][2][1][1], last[1][1], seen }`,
};

type Row = [index: number, status: number, text: string | null, progress: string | null];

export function redisLooks(backend: RedisQueueBackend): LookPrimitive {
  return {
    async lookAtJobs(ids, followed) {
      const keys = ['completed', 'failed', 'events'].map((type) => backend.toKey(type));
      const args = [...keys, backend.toKey(''), followed, ANSWER_BYTES, ...ids];
      const answer = (await runScript(backend, LOOK_AT_JOBS, args)) as [string | null, string | null, Row[]];
      const [first, last, rows] = answer;
      return {
        events: first === null ? undefined : { first: first || undefined, last: last || undefined },
        jobs: rows.map(([index, status, text, progress]) => ({
          index,
          status: JOB_STATUS[String(status) as keyof typeof JOB_STATUS],
          text: text ?? undefined,
          progress: progress ?? undefined,
        })),
      };
    },
  };
}

/** This module reads the state of many jobs of a queue, and the range of the queue's events, at one moment. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { runScript, type Script } from './scripts.js';

/** A job that has ended, is missing, or has reported progress. */
export interface SeenJob {
  /** Its index in the requested ids. */
  readonly index: number;
  /** `unreadable`: its record has a type that no job has. */
  readonly status: 'pending' | 'completed' | 'failed' | 'missing' | 'unreadable';
  /** The result as JSON text, or the reason of the failure; undefined if that is too long for an answer about many jobs. */
  readonly text: string | undefined;
  /** JSON text; undefined if there is none or it was not requested. */
  readonly progress: string | undefined;
}

/** The ids of the first and the last event that a queue holds; undefined if it holds none. */
interface EventEdges {
  readonly first: string | undefined;
  readonly last: string | undefined;
}

export interface Looks {
  /** Undefined if the store does not answer that: its user may lack the permission. */
  readonly events: EventEdges | undefined;
  /** Omits pending jobs without progress. */
  readonly jobs: readonly SeenJob[];
}

export interface LookPrimitive {
  /**
   * Reads jobs and the range of events in one step. Without this command, jobs are read one by one, and events only wake
   * their readers.
   * @param followed Number of ids, from the first, whose progress is read too.
   */
  lookAtJobs(ids: readonly string[], followed: number): Promise<Looks>;
}

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

/** The states of `SeenJob` by the numbers of BullMQ's `isFinished`; -2 for a record of another type. */
export const STATUS = {
  '-2': 'unreadable',
  '-1': 'missing',
  '0': 'pending',
  '1': 'completed',
  '2': 'failed',
} as const;

type Row = [index: number, status: number, text: string | null, progress: string | null];

/** Returns the command; undefined for a store without it. */
export function lookPrimitiveOf(backend: IQueueBackend): LookPrimitive | undefined {
  if (!(backend instanceof RedisQueueBackend))
    return 'lookAtJobs' in backend ? (backend as IQueueBackend & LookPrimitive) : undefined;
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
          status: STATUS[String(status) as keyof typeof STATUS],
          text: text ?? undefined,
          progress: progress ?? undefined,
        })),
      };
    },
  };
}

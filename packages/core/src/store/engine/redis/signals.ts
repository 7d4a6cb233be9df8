/** The records of signals and waits in Redis. Each is a hash; an index in the order of names has the open waits. */
import type { RedisQueueBackend } from 'bullmq';
import { INTERNAL_QUEUE } from '../../../job/job-tree.js';
import { waitPosition } from '../../../job/signal-wait.js';
import type {
  OpenWaitRecord,
  SignalDecision,
  SignalPrimitives,
  WaitEnd,
  WaitState,
} from '../../primitives/signals.js';
import { runScript, type Script } from './scripts.js';

const RECORD_ID_LENGTH = 32;

// Fields of a record: n signal, k key, s state, h job, a since, u until, m its position in the index, p payload, t token of
// the signal, d when it was sent, r how the wait ended.
const FUNCTIONS = `
local function isOver(id)
  local key = ARGV[1] .. id
  return redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'finishedOn') == 1
end
local function finish(record, reason, keepMs)
  local position = redis.call('HGET', record, 'm')
  if position then redis.call('ZREM', KEYS[2], position) end
  redis.call('HDEL', record, 'p', 'm')
  redis.call('HSET', record, 's', 'ended', 'r', reason)
  redis.call('PEXPIRE', record, keepMs)
end
local function signalled(record)
  local found = redis.call('HMGET', record, 'p', 'd')
  return { 'signalled', found[1], found[2] }
end
`;

const START_WAIT: Script = {
  name: 'umbel:startWait',
  numberOfKeys: 2,
  lua: `${FUNCTIONS}
local record, job, since, until_, position = KEYS[1], ARGV[2], ARGV[5], ARGV[6], ARGV[7]
local found = redis.call('HMGET', record, 's', 'h', 'a', 'u', 'r')
local state = found[1]
if state == 'waiting' or state == 'signalled' then
  if found[2] ~= job then
    if not isOver(found[2]) then return { 'other', found[2] } end
    finish(record, 'gone', 1000)
    redis.call('DEL', record)
  elseif state == 'waiting' then
    return { 'waiting', found[3], found[4] }
  else
    return signalled(record)
  end
elseif state == 'ended' then
  if found[2] == job and ARGV[8] == '1' then return { 'ended', found[5], found[3], found[4] } end
  redis.call('DEL', record)
end
redis.call('HSET', record, 'n', ARGV[3], 'k', ARGV[4], 'h', job, 'a', since, 'm', position)
redis.call('ZADD', KEYS[2], 0, position)
redis.call('PERSIST', record)
if state == 'sent' then
  redis.call('HSET', record, 's', 'signalled')
  return signalled(record)
end
redis.call('HSET', record, 's', 'waiting')
if until_ ~= '' then redis.call('HSET', record, 'u', until_) end
return { 'waiting', since, until_ ~= '' and until_ or false }`,
};

const SEND_SIGNAL: Script = {
  name: 'umbel:sendSignal',
  numberOfKeys: 2,
  lua: `${FUNCTIONS}
local record, token, now, keepMs, endedMs = KEYS[1], ARGV[2], ARGV[5], ARGV[6], ARGV[7]
local found = redis.call('HMGET', record, 's', 'h', 'u', 't', 'r')
local state, job = found[1], found[2]
if state and found[4] == token then return { 'accepted', state == 'signalled' and job or false } end
if state == 'sent' or state == 'signalled' then return { 'duplicate', job } end
if state == 'ended' then return { found[5] == 'taken' and 'duplicate' or 'tooLate', false } end
if state == 'waiting' then
  if isOver(job) then
    finish(record, 'gone', endedMs)
    return { 'tooLate', false }
  end
  if found[3] and tonumber(now) >= tonumber(found[3]) then
    finish(record, 'timeout', endedMs)
    return { 'tooLate', false }
  end
  redis.call('HSET', record, 's', 'signalled', 'p', ARGV[8], 't', token, 'd', now)
  return { 'accepted', job }
end
redis.call('HSET', record, 's', 'sent', 'n', ARGV[3], 'k', ARGV[4], 'p', ARGV[8], 't', token, 'd', now)
redis.call('PEXPIRE', record, keepMs)
return { 'accepted', false }`,
};

const END_WAIT: Script = {
  name: 'umbel:endWait',
  numberOfKeys: 2,
  lua: `${FUNCTIONS}
local record, job, reason, endedMs = KEYS[1], ARGV[2], ARGV[3], ARGV[4]
local found = redis.call('HMGET', record, 's', 'h', 'a', 'u', 'r')
local state = found[1]
if not state or found[2] ~= job then return { 'ended', 'gone' } end
if state == 'ended' then return { 'ended', found[5], found[3], found[4] } end
if reason == 'taken' and not isOver(job) then reason = false end
if state == 'signalled' then
  if reason ~= 'taken' then return signalled(record) end
elseif not reason then
  return { 'waiting', found[3], found[4] }
end
finish(record, reason, endedMs)
return { 'ended', reason, found[3], found[4] }`,
};

const REOPEN_WAIT: Script = {
  name: 'umbel:reopenWait',
  numberOfKeys: 1,
  lua: `local found = redis.call('HMGET', KEYS[1], 's', 'h')
if found[1] == 'ended' and found[2] == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`,
};

const READ = `
local function read(record)
  local found = redis.call('HMGET', record, 'n', 'k', 'h', 'a', 'u', 's')
  return { found[1] or '', found[2] or '', found[3] or '', found[4] or '', found[5] or '', found[6] or '' }
end
`;

const LIST_WAITS: Script = {
  name: 'umbel:listWaits',
  numberOfKeys: 1,
  lua: `${READ}
local positions = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
local answer = {}
for _, position in ipairs(positions) do
  local id = string.sub(position, -${RECORD_ID_LENGTH})
  answer[#answer + 1] = { position, id, unpack(read(ARGV[1] .. id)) }
end
return answer`,
};

const FIND_WAIT: Script = {
  name: 'umbel:findWait',
  numberOfKeys: 1,
  lua: `${READ}
return read(KEYS[1])`,
};

const CHECK_WAITS: Script = {
  name: 'umbel:checkWaits',
  numberOfKeys: 2,
  lua: `${FUNCTIONS}
local base, after, limit, endedMs = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local positions = redis.call('ZRANGEBYLEX', KEYS[2], after, '+', 'LIMIT', 0, limit)
local ended, unstarted = 0, {}
for _, position in ipairs(positions) do
  local record = base .. string.sub(position, -${RECORD_ID_LENGTH})
  local found = redis.call('HMGET', record, 's', 'h')
  local state, job = found[1], found[2]
  if not state or state == 'ended' or state == 'sent' then
    redis.call('ZREM', KEYS[2], position)
    ended = ended + 1
  elseif isOver(job) then
    -- The payload of a failed job stays, for a resume.
    if state ~= 'signalled' or not redis.call('ZSCORE', KEYS[1], job) then
      finish(record, state == 'signalled' and 'taken' or 'gone', endedMs)
      ended = ended + 1
    end
  elseif state == 'signalled' then
    unstarted[#unstarted + 1] = job
  end
end
return { #positions, ended, positions[#positions] or false, unstarted }`,
};

export function redisSignals(backend: RedisQueueBackend): SignalPrimitives {
  const index = backend.toKey('waits');
  const base = backend.toKey('w-');
  const recordOf = (id: string) => `${base}${id}`;
  const { qualifiedName } = backend;
  const queues = qualifiedName.slice(0, qualifiedName.lastIndexOf(':') + 1);
  const jobs = `${queues}${INTERNAL_QUEUE}:`;
  return {
    async startWait({ id, signal, key, job, since, until, isRestart }) {
      const position = waitPosition({ id, signal }, since);
      const args = [jobs, job, signal, key, since, until ?? '', position, isRestart ? 1 : 0];
      return stateIn(await runScript(backend, START_WAIT, [recordOf(id), index, ...args]));
    },
    async sendSignal({ id, signal, key, token, payload, now, keepMs, endedMs }) {
      const args = [jobs, token, signal, key, now, keepMs, endedMs, payload];
      const answered = await runScript(backend, SEND_SIGNAL, [recordOf(id), index, ...args]);
      const [answer, job] = answered as [SignalDecision['answer'], string | null];
      return { answer, ...(job !== null && { job }) };
    },
    async endWait(id, job, reason, endedMs) {
      return stateIn(await runScript(backend, END_WAIT, [recordOf(id), index, jobs, job, reason, endedMs]));
    },
    async reopenWait(id, job) {
      await runScript(backend, REOPEN_WAIT, [recordOf(id), job]);
    },
    async listWaits(signal, after, limit) {
      const start = after === undefined ? (signal === undefined ? '-' : `[${signal} `) : `(${after}`;
      const end = signal === undefined ? '+' : `(${signal}!`; // the character after the space
      const rows = (await runScript(backend, LIST_WAITS, [index, base, start, end, limit])) as string[][];
      const waits = rows.map(([, id = '', ...fields]) => recordIn(id, fields));
      const last = rows.length < limit ? undefined : rows.at(-1)?.[0];
      return { waits: waits.filter((wait) => wait !== undefined), ...(last !== undefined && { next: last }) };
    },
    async findWait(id) {
      return recordIn(id, (await runScript(backend, FIND_WAIT, [recordOf(id)])) as string[]);
    },
    async checkWaits(after, limit, endedMs) {
      const start = after === undefined ? '-' : `(${after}`;
      const keys = [`${jobs}failed`, index];
      const answer = await runScript(backend, CHECK_WAITS, [...keys, jobs, base, start, limit, endedMs]);
      const [checked, ended, last, unstarted] = answer as [number, number, string | null, string[]];
      return { checked, ended, unstarted, ...(checked === limit && last !== null && { next: last }) };
    },
  };
}

function stateIn(answer: unknown): WaitState {
  const [kind, first, second, third] = answer as [WaitState['kind'], string, string | null, string | null];
  switch (kind) {
    case 'waiting':
      return { kind, since: Number(first), ...(second !== null && { until: Number(second) }) };
    case 'signalled':
      return { kind, payload: first, at: Number(second) };
    case 'ended':
      return {
        ...{ kind, reason: first as WaitEnd }, // one of those that the scripts write
        ...(typeof second === 'string' && { since: Number(second) }),
        ...(typeof third === 'string' && { until: Number(third) }),
      };
    case 'other':
      return { kind, job: first };
  }
}

/** Returns the record of an open wait; undefined if it is not open. */
function recordIn(id: string, fields: readonly string[]): OpenWaitRecord | undefined {
  const [signal = '', key = '', job = '', since, until = '', state] = fields;
  if (state !== 'waiting' && state !== 'signalled') return undefined;
  return {
    ...{ id, signal, key, job, since: Number(since), isSignalled: state === 'signalled' },
    ...(until !== '' && { until: Number(until) }),
  };
}

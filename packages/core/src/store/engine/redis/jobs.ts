/** This module changes locks and data of jobs by compare-and-set in Redis. */
import type { RedisQueueBackend } from 'bullmq';
import { Coalesced } from '../../primitives/coalesced.js';
import type { Primitives } from '../../primitives/jobs.js';
import { runScript, type Script } from './scripts.js';

const TAKE_LOCK: Script = {
  name: 'umbel:takeLock',
  numberOfKeys: 3,
  lua: `local lock = redis.call('GET', KEYS[2])
if lock and lock ~= ARGV[2] then return 0 end
if redis.call('HGET', KEYS[1], 'ats') ~= ARGV[3] then return 0 end
if not redis.call('LPOS', KEYS[3], ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])
return 1`,
};

const REPLACE_DATA: Script = {
  name: 'umbel:replaceData',
  numberOfKeys: 1,
  lua: `local answers = {}
for at = 2, #ARGV, 5 do
  local id, current, next, only, starts = unpack(ARGV, at, at + 4)
  local key = ARGV[1] .. id
  local isMet = redis.call('HGET', key, 'data') == current
  if isMet and only == 'failed' then isMet = redis.call('ZSCORE', KEYS[1], id) and true or false end
  if isMet and only == 'held' then
    local job = redis.call('HMGET', key, 'ats', 'finishedOn')
    isMet = job[1] == starts and not job[2]
  end
  if isMet then redis.call('HSET', key, 'data', next) end
  answers[#answers + 1] = isMet and 1 or 0
end
return answers`,
};

const HAVE_ENDED: Script = {
  name: 'umbel:haveEnded',
  numberOfKeys: 2,
  lua: `local answers = {}
for at = 2, #ARGV do
  local hasEnded = redis.call('EXISTS', ARGV[1] .. ARGV[at]) == 0 or redis.call('ZSCORE', KEYS[1], ARGV[at])
    or redis.call('ZSCORE', KEYS[2], ARGV[at])
  answers[#answers + 1] = hasEnded and 1 or 0
end
return answers`,
};

/** Batches of calls that share commands. */
interface Calls {
  readonly replace: Coalesced<Replacement, boolean>;
  readonly hasEnded: Coalesced<string, boolean>;
}

type Replacement = readonly [
  id: string,
  current: string,
  next: string,
  only: string,
  starts: string | number,
];

/** Longer data are replaced with a separate command. */
const SHARED_CHARACTERS = 20_000;

const callsByBackend = new WeakMap<RedisQueueBackend, Calls>();

function callsOf(backend: RedisQueueBackend): Calls {
  let calls = callsByBackend.get(backend);
  if (calls === undefined) {
    calls = {
      replace: new Coalesced((replacements) => replaceAll(backend, replacements)),
      hasEnded: new Coalesced(async (ids) => {
        const args = [backend.toKey('completed'), backend.toKey('failed'), backend.toKey(''), ...ids];
        return ((await runScript(backend, HAVE_ENDED, args)) as number[]).map((answer) => answer === 1);
      }),
    };
    callsByBackend.set(backend, calls);
  }
  return calls;
}

async function replaceAll(
  backend: RedisQueueBackend,
  replacements: readonly Replacement[],
): Promise<readonly boolean[]> {
  const args = [backend.toKey('failed'), backend.toKey(''), ...replacements.flat()];
  return ((await runScript(backend, REPLACE_DATA, args)) as number[]).map((answer) => answer === 1);
}

export function redisPrimitives(backend: RedisQueueBackend): Primitives {
  return {
    async takeLock(id, token, starts, durationMs) {
      const keys = [backend.toKey(id), backend.toKey(`${id}:lock`), backend.toKey('active')];
      return (await runScript(backend, TAKE_LOCK, [...keys, id, token, starts, durationMs])) === 1;
    },
    async replaceData(id, current, next, only = undefined) {
      const [state, starts] = typeof only === 'object' ? ['held', only.starts] : [only ?? '', ''];
      const replacement: Replacement = [id, current, next, state, starts];
      if (current.length + next.length <= SHARED_CHARACTERS)
        return callsOf(backend).replace.call(replacement);
      const [isReplaced = false] = await replaceAll(backend, [replacement]);
      return isReplaced;
    },
    hasEnded: (id) => callsOf(backend).hasEnded.call(id),
    async hasLock(id) {
      const client = await backend.connection.client;
      return (await client.get(backend.toKey(`${id}:lock`))) !== null;
    },
    async tryWrite() {
      const client = await backend.connection.client;
      await client.set(backend.toKey('try-write'), '', { PX: 1 });
    },
  };
}

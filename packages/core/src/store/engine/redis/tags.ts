/** This module implements the index of tags in Redis; `../../tags.ts` uses it. */
import type { JobJson, RedisQueueBackend } from 'bullmq';
import { INDEXED_DATA, TAGGED_DATA } from '../../../job/envelope.js';
import type { QueuedNote, QueuedNotes, TaggedEntry, TagPrimitives } from '../../primitives/tags.js';
import { TAG_CHECKS, TAG_QUEUE } from '../commands.js';
import { runScript, type Script } from './scripts.js';

/** Number of characters of a time in the index, so that text order is time order. */
const AT_DIGITS = 9;

// An entry of the index is a tag, a time and a job; a note is a time, a job and its tags.
const NOTE_TAGS: Script = {
  name: 'umbel:noteTags',
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
};

const PUSH_NOTES: Script = {
  name: 'umbel:pushTagNotes',
  numberOfKeys: 1,
  lua: `return redis.call('RPUSH', KEYS[1], unpack(ARGV))`,
};

/** Maximum length of the tags of a call in its data: 20 of 200 characters, each escaped. */
const MAX_TAGS_BYTES = 20 * (200 * 6 + 3) + 64;
/** Longer data that begin with something else, because another program has rewritten them, are not read. */
const MAX_OTHER_BYTES = 65_536;
/** Size of the data in one answer. */
const MAX_DATA_BYTES = 1_000_000;

/** Lua function that returns whether the data of a job are those of a call that is tagged or indexed. */
const IS_NOTED = `local function isNoted(data)
  return string.sub(data, 1, ${TAGGED_DATA.length}) == '${TAGGED_DATA}'
    or string.sub(data, 1, ${INDEXED_DATA.length}) == '${INDEXED_DATA}'
end`;

/** In the data of an indexed call: what follows if it has tags. */
const ITS_TAGS = ',"tags":';

/**
 * Reads notes from the oldest one on, or with `latest` from the latest one on. A text that begins with a queue is the note of
 * a call: its tags and its task are those of the job.
 */
const READ_NOTES: Script = {
  name: 'umbel:readTagNotes',
  numberOfKeys: 1,
  lua: `${IS_NOTED}
local function beginning(stored)
  if not isNoted(stored) then return #stored <= ${MAX_OTHER_BYTES} and stored or '' end
  local hasTags = string.sub(stored, 1, ${TAGGED_DATA.length}) == '${TAGGED_DATA}'
    or string.sub(stored, ${INDEXED_DATA.length + 1}, ${INDEXED_DATA.length + ITS_TAGS.length}) == '${ITS_TAGS}'
  return hasTags and string.sub(stored, 1, ${MAX_TAGS_BYTES}) or '${INDEXED_DATA}'
end
local limit, isLatest = tonumber(ARGV[1]), ARGV[3] == 'latest'
local texts = redis.call('LRANGE', KEYS[1], isLatest and -limit or 0, isLatest and -1 or limit - 1)
local read, data, times, tasks, size = {}, {}, {}, {}, 0
for number = 1, #texts do
  local text = texts[isLatest and #texts + 1 - number or number]
  read[number], data[number], times[number], tasks[number] = text, '', '', ''
  local queue, id = string.match(text, '^([%w_.-]+)/(%S+)$')
  if queue then
    local key = ARGV[2] .. queue .. ':' .. id
    if redis.call('TYPE', key).ok == 'hash' then
      local fields = redis.call('HMGET', key, 'data', 'timestamp', 'name')
      data[number], times[number], tasks[number] = beginning(fields[1] or ''), fields[2] or '', fields[3] or ''
      size = size + #data[number]
    end
  end
  if size > ${MAX_DATA_BYTES} then break end
end
return { redis.call('LLEN', KEYS[1]), read, data, times, tasks }`,
};

/**
 * Lua functions of a script that adds jobs: `collectNote` takes the keys, the arguments and the answer of each call of a script
 * of BullMQ that has added a job, and its number; `pushNotes` notes all of them that are tagged or indexed, and calls `fail`
 * with the number of each call that could not be noted.
 */
export const NOTE_CALLS = `${IS_NOTED}
local notes, places = {}, {}
local function collectNote(keys, argv, answer, number)
  if not isNoted(argv[2]) or type(answer) ~= 'string' then return end
  local place = places[keys[1]]
  if not place then
    local root, queue = string.match(keys[1], '^(.*:)([^:]+):[^:]+$')
    place = { list = root .. '${TAG_QUEUE}:queued', queue = queue .. '/' }
    places[keys[1]] = place
  end
  local noted = notes[place.list]
  if not noted then
    noted = { texts = {}, numbers = {} }
    notes[place.list] = noted
  end
  noted.texts[#noted.texts + 1] = place.queue .. answer
  noted.numbers[#noted.numbers + 1] = number
end
local function pushNotes(fail)
  for list, noted in pairs(notes) do
    local isDone, failure = pcall(redis.call, 'RPUSH', list, unpack(noted.texts))
    if not isDone then
      for _, number in ipairs(noted.numbers) do fail(number, failure) end
    end
  end
end`;

/** Notes calls, for a connection on which BullMQ's scripts run by themselves. */
export async function noteCalls(
  backend: RedisQueueBackend,
  calls: readonly { readonly job: JobJson; readonly jobId: string | undefined }[],
): Promise<void> {
  const { qualifiedName } = backend;
  const at = qualifiedName.lastIndexOf(':') + 1;
  const texts = calls
    .filter(({ job }) => isNotedCall(job.data))
    .map(({ jobId }) => `${qualifiedName.slice(at)}/${jobId}`);
  const queued = `${qualifiedName.slice(0, at)}${TAG_QUEUE}:queued`;
  for (let start = 0; start < texts.length; start += NOTED_AT_ONCE)
    await runScript(backend, PUSH_NOTES, [queued, ...texts.slice(start, start + NOTED_AT_ONCE)]);
}

const NOTED_AT_ONCE = 200;

/** Returns whether a text is the data of a call that is tagged or indexed. */
export function isNotedCall(data: unknown): boolean {
  return typeof data === 'string' && (data.startsWith(TAGGED_DATA) || data.startsWith(INDEXED_DATA));
}

// Two processes may have read the same notes. The first one removes them; the second one finds others and does nothing.
const TAKE_NOTES: Script = {
  name: 'umbel:takeTagNotes',
  numberOfKeys: 1,
  lua: `local count = tonumber(ARGV[1])
if redis.call('LINDEX', KEYS[1], 0) == ARGV[2] and redis.call('LINDEX', KEYS[1], count - 1) == ARGV[3] then
  redis.call('LTRIM', KEYS[1], count, -1)
  return 1
end
return 0`,
};

const FIND_TAGGED: Script = {
  name: 'umbel:findTagged',
  numberOfKeys: 1,
  lua: `return redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])`,
};

const CHECK_TAGS: Script = {
  name: 'umbel:checkTags',
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
};

export function redisTags(backend: RedisQueueBackend): TagPrimitives {
  const index = backend.toKey('index');
  const due = backend.toKey('due');
  const queued = backend.toKey('queued');
  const { qualifiedName } = backend;
  const prefix = qualifiedName.slice(0, qualifiedName.lastIndexOf(':') + 1);
  const readNotes = async (limit: number, end: 'first' | 'latest'): Promise<QueuedNotes> => {
    const answer = await runScript(backend, READ_NOTES, [queued, limit, prefix, end]);
    const [count, texts, data, times, tasks] = answer as [number, string[], string[], string[], string[]];
    const notes = texts.map((text, index): QueuedNote => {
      const stored = data[index];
      if (!stored) return { text };
      return { text, call: { task: tasks[index] ?? '', data: stored, sentAt: Number(times[index]) } };
    });
    return { notes, count };
  };
  return {
    async noteTags(notes) {
      const args = notes.flatMap((note) => [note.checkAt, `${entryText(note)} ${note.tags.join('')}`]);
      await runScript(backend, NOTE_TAGS, [index, due, ...args]);
    },
    async findTagged(tag, limit, from, isBehind) {
      // `{` sorts after every digit and letter of a time.
      const start = from === undefined ? `(${tag}{` : `${isBehind ? '(' : '['}${tag}${entryText(from)}`;
      const found = await runScript(backend, FIND_TAGGED, [index, start, `[${tag}`, limit]);
      return (found as string[]).map((entry) => entryIn(entry.slice(tag.length)));
    },
    async checkTags(now, limit, { completedMs, failedMs }) {
      const args = [index, due, now, limit, prefix, completedMs, failedMs];
      return Number(await runScript(backend, CHECK_TAGS, args));
    },
    notesCalls: true, // see `batchesCommands`
    noteQueue: {
      async push(texts) {
        return Number(await runScript(backend, PUSH_NOTES, [queued, ...texts]));
      },
      first: (limit) => readNotes(limit, 'first'),
      latest: (limit) => readNotes(limit, 'latest'),
      async take(texts) {
        const args = [queued, texts.length, texts[0] ?? '', texts.at(-1) ?? ''];
        return (await runScript(backend, TAKE_NOTES, args)) === 1;
      },
    },
  };
}

function entryText({ at, queue, id }: TaggedEntry): string {
  return `${Math.max(0, Math.floor(at)).toString(36).padStart(AT_DIGITS, '0')}${queue}/${id}`;
}

function entryIn(text: string): TaggedEntry {
  const place = text.slice(AT_DIGITS);
  const slash = place.indexOf('/');
  return {
    at: Number.parseInt(text.slice(0, AT_DIGITS), 36),
    queue: place.slice(0, slash),
    id: place.slice(slash + 1),
  };
}

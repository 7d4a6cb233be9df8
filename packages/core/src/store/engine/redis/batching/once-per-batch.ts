/**
 * Each of BullMQ's scripts reads the options of its queue, unpacks options, trims events, wakes workers and looks for due jobs
 * in every call. In a batch these have the same result or effect for all calls of a queue, so the first call does it for the
 * others, which saves a quarter of the commands that Redis runs for a job.
 *
 * This holds because no script of a batch changes the options of a queue or options that it has unpacked, and none removes the
 * marker of a queue. Work whose text differs in another version of BullMQ is done in every call.
 */

/** A call in the text of a script, and the function below that takes its place. */
const REPLACED: readonly (readonly [text: RegExp, replacement: string])[] = [
  [/rcall\("HGET", (\w+), "opts\.maxLenEvents"\)/g, 'maxEventsOf($1)'],
  [/rcall\("HMGET", (\w+), "paused", "concurrency"(?:, "max", "duration")?\)/g, 'limitsOf($1)'],
  [/rcall\("ZADD", (\w+), 0, "0"\)/g, 'setMarker($1)'],
  [/rcall\("XTRIM", (\w+), "MAXLEN", "~", (\w+)\)/g, 'trimEventsOf($1, $2)'],
  [
    /rcall\("ZRANGEBYSCORE", (\w+), 0, (\(timestamp \+ 1\) \* 0x1000 - 1), "LIMIT", 0, 1000\)/g,
    'dueJobsOf($1, $2)',
  ],
  [/\bopts = cmsgpack\.unpack\((\w+\[\d+\])\)/g, 'opts = unpackedOptions($1)'],
  [/cjson\.encode\(opts\)/g, 'encodedOptions(opts)'],
  // Redis converts a number by printf, which takes longer than all else that it does with an argument.
  [/"(timestamp|delay|priority)", \1\b/g, '"$1", textOf($1)'],
  [/(rcall\("(?:HINCRBY|LREM)", [^()]*?)(-?\d+)(?=[,)])/g, '$1"$2"'],
];

/** Returns a part of the text of a script that does such work once in a batch. */
export function oncePerBatch(lua: string): string {
  return REPLACED.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), lua);
}

/**
 * The functions that `REPLACED` names, for the start of a batch. Each remembers its result by key or by value.
 *
 * - `dueJobsOf`: the next command finds jobs that become due while a batch runs, and those beyond BullMQ's limit of 1,000.
 * - `unpackedOptions`: options of commits differ only in the token, which comes first: it is replaced in the unpacked options,
 *   as calls run one after the other. A token of 32 or more characters has the head `\217` and its length in MessagePack.
 */
export const ONCE_PER_BATCH = `local maxEvents, limits, marked, trimmed, looked = {}, {}, {}, {}, {}
local unpacked, encoded, texts = {}, {}, {}
local function maxEventsOf(key)
  local count = maxEvents[key]
  if not count then
    count = redis.call('HGET', key, 'opts.maxLenEvents')
    maxEvents[key] = count
  end
  return count
end
local function limitsOf(key)
  local found = limits[key]
  if not found then
    found = redis.call('HMGET', key, 'paused', 'concurrency', 'max', 'duration')
    limits[key] = found
  end
  return found
end
local function setMarker(key)
  if marked[key] then return end
  redis.call('ZADD', key, 0, '0')
  marked[key] = true
end
local function trimEventsOf(key, count)
  if trimmed[key] then return end
  redis.call('XTRIM', key, 'MAXLEN', '~', count)
  trimmed[key] = true
end
local function dueJobsOf(key, last)
  if looked[key] and looked[key] >= last then return {} end
  looked[key] = last
  return redis.call('ZRANGEBYSCORE', key, 0, last, 'LIMIT', 0, 1000)
end
local function unpackedOptions(packed)
  local key, token = packed, nil
  local at = string.find(packed, '\\165token\\217', 1, true)
  if at and at <= 4 then
    local last = at + 7 + string.byte(packed, at + 7)
    key, token = string.sub(packed, last + 1), string.sub(packed, at + 8, last)
  end
  local options = unpacked[key]
  if not options then
    options = cmsgpack.unpack(packed)
    unpacked[key] = options
  elseif token then
    options.token = token
    encoded[options] = nil
  end
  return options
end
local function encodedOptions(options)
  local text = encoded[options]
  if not text then
    text = cjson.encode(options)
    encoded[options] = text
  end
  return text
end
local function textOf(value)
  local text = texts[value]
  if not text then
    text = type(value) == 'number' and string.format('%.17g', value) or value
    texts[value] = text
  end
  return text
end`;

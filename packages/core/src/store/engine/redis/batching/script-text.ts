/**
 * This module turns the text of BullMQ's scripts, read from the client at run time, into one script that runs many of their
 * calls. Each script becomes a Lua function of its `KEYS` and `ARGV`. The functions that it declares are declared once for
 * the whole batch. If a text does not have the expected shape, its calls are not batched.
 */
import { NOTE_CALLS } from '../tags.js';
import { ONCE_PER_BATCH, oncePerBatch } from './once-per-batch.js';

/** A script as ioredis stores it. */
export interface ScriptText {
  readonly lua: string;
  readonly numberOfKeys: number;
}

/** A script in a batch. */
export interface NamedScript {
  readonly command: string;
  readonly lua: string;
}

/** Parts of the text of a script, with the functions of `ONCE_PER_BATCH`. */
interface ScriptParts {
  /** First line with the flags of the script, or empty. */
  readonly flags: string;
  /** The functions that it declares. They use none of its variables. */
  readonly functions: string;
  /** Everything else, in its order. */
  readonly body: string;
}

/** The only variable that the declared functions may use. */
const SHARED = 'local rcall = redis.call';

/** Start of a function that a script declares. */
const FUNCTION = /^local (?:function \w|\w+ = function\b)/;

/** What `scriptPartsOf` has returned, by text: every connection has the same few dozen scripts. */
const partsByText = new Map<string, ScriptParts | undefined>();

/**
 * Returns the parts of a script; undefined if it has another shape: its functions are declared at the start of a line and
 * end with `end` at the start of a line, and use only `rcall`, their parameters and variables, and each other.
 */
export function scriptPartsOf(lua: string): ScriptParts | undefined {
  if (!partsByText.has(lua)) partsByText.set(lua, readParts(lua));
  return partsByText.get(lua);
}

function readParts(lua: string): ScriptParts | undefined {
  const flags = /^#!.*\n/.exec(lua)?.[0] ?? '';
  const text = withoutComments(lua.slice(flags.length));
  if (text === undefined) return undefined;
  const functions: string[] = [];
  const body: string[] = [];
  let open: string[] | undefined;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    if (open === undefined && FUNCTION.test(line)) open = [];
    (open ?? body).push(line);
    if (open !== undefined && line.trimEnd() === 'end') {
      functions.push(open.join('\n'));
      open = undefined;
    }
  }
  const sharedAt = body.findIndex((line) => line.trim() === SHARED);
  if (open !== undefined || sharedAt < 0) return undefined;
  body.splice(sharedAt, 1);
  // A statement between the functions could use one that is declared later; so could a function use a variable.
  const own = new Set(['KEYS', 'ARGV', ...body.flatMap(variablesOf)]);
  if (functions.some((declared) => usesAny(declared, own))) return undefined;
  return { flags, functions: oncePerBatch(functions.join('\n')), body: oncePerBatch(body.join('\n')) };
}

/** Returns the text without its comments; undefined if one may be inside of a string. */
function withoutComments(lua: string): string | undefined {
  const text = lua.replace(/--\[\[[\s\S]*?\]\]/g, '').replace(/--.*$/gm, '');
  // In this text no string contains `--`: otherwise the number of quotes of a line would be odd.
  const isOdd = (line: string) =>
    (line.match(/"/g) ?? []).length % 2 === 1 || (line.match(/'/g) ?? []).length % 2 === 1;
  return text.split('\n').some(isOdd) ? undefined : text;
}

/** Returns the variables that a line at the top level of a script declares. */
function variablesOf(line: string): string[] {
  const names = /^local\s+(?!function)([\w\s,]+)/.exec(line)?.[1];
  return names === undefined ? [] : names.split(',').map((name) => name.trim().split(/\s/)[0] ?? '');
}

/** Returns whether a function uses one of the names, other than as its own parameter or variable or as a field. */
function usesAny(declared: string, names: ReadonlySet<string>): boolean {
  const code = declared.replace(/"[^"]*"|'[^']*'/g, "''");
  const own = new Set<string>();
  for (const [, list = ''] of code.matchAll(/function\s*\w*\s*\(([^)]*)\)/g)) addNames(own, list);
  for (const [, list = ''] of code.matchAll(
    /\b(?:local|for)\s+(?!function\b)([\w\s,]+?)\s*(?:=|\bin\b|\n|$)/g,
  ))
    addNames(own, list);
  for (const [, name = ''] of code.matchAll(/(?<![.\w])([A-Za-z_]\w*)/g))
    if (names.has(name) && !own.has(name)) return true;
  return false;
}

function addNames(names: Set<string>, list: string): void {
  for (const name of list.split(',')) names.add(name.trim());
}

/** Scripts that add jobs without children. */
const ADDS = new Set(['addDelayedJob', 'addPrioritizedJob', 'addStandardJob']);

/** Returns whether a script adds a job that may be a tagged call. */
export function addsCalls(command: string): boolean {
  return ADDS.has(command);
}

/** Scripts that hand out jobs, with the index of their key `marker`, which wakes a worker. */
const MARKERS: Readonly<Record<string, number>> = { moveToActive: 11, moveToDelayed: 1, moveToFinished: 14 };

/** The script that commits the end of a job; its argument 6 tells whether to hand out the next job. */
const COMMIT = 'moveToFinished';

/** Returns whether a script hands out jobs. */
export function claimsJobs(command: string): boolean {
  return Object.hasOwn(MARKERS, command);
}

/** A job with more children reads their results with a command of its own. A slice of a large group has 50. */
const MAX_CHILDREN_READ = 64;
/** Maximum size of all results of children that a batch reads, in bytes; the last job may exceed it. */
const MAX_BYTES_READ = 256 * 1024;

/**
 * Returns the results of the children of a claimed job of Umbel that waited for them, as the fifth part of its answer, with
 * one more text at their end if none of its children has failed.
 */
const READ_RESULTS = `
local room = ${MAX_BYTES_READ}
local function resultsOf(record, key)
  if room <= 0 then return nil end
  local data
  for index = 1, #record, 2 do
    if record[index] == 'data' then data = record[index + 1] end
  end
  if data == nil or not string.find(data, '"after":', 1, true) then return nil end
  local count = redis.call('HLEN', key .. ':processed')
  if count == 0 or count > ${MAX_CHILDREN_READ} then return nil end
  local results = redis.call('HGETALL', key .. ':processed')
  for index = 2, #results, 2 do room = room - #results[index] end
  if redis.call('EXISTS', key .. ':failed') == 0 then results[#results + 1] = '' end
  return results
end`;

/**
 * BullMQ sets the marker of a queue with each job that it hands out, which wakes a waiting worker also if no other job
 * waits: that worker asks in vain. So the marker is removed from a queue in which no job waits. The last job that waited has
 * that as the sixth part of its answer, so that its worker does not ask in vain either, and the time of the next delayed
 * job as the fourth, as BullMQ's answer to a worker that finds nothing. A queue with a limit of running jobs is left out: a
 * job that is added while the limit is reached sets no marker, so its workers have to ask.
 */
const TELL_LAST = `
for marker, last in pairs(claimed) do
  local prefix = string.sub(marker, 1, -#'marker' - 1)
  local isEmpty = redis.call('LLEN', prefix .. 'wait') == 0 and redis.call('ZCARD', prefix .. 'prioritized') == 0
  if isEmpty and redis.call('HEXISTS', prefix .. 'meta', 'concurrency') == 0 then
    redis.call('ZREM', marker, '0')
    local due = redis.call('ZRANGE', prefix .. 'delayed', 0, 0, 'WITHSCORES')
    if due[2] then last[4] = tonumber(due[2]) / 0x1000 end
    last[6] = 1
  end
end`;

/** Returns an error as the answer of a call. */
const ERROR_OF = `
local function errorOf(failure)
  if type(failure) == 'table' and failure.err then return { err = failure.err } end
  return { err = 'ERR ' .. tostring(failure) }
end`;

/**
 * Runs the calls of a batch, each with the function of its script. A commit that found no next job in its queue is followed
 * by others that would find none either, so they do not look, except the last one of a run, which finds what these commits
 * have released.
 */
const RUN_CALLS = `
local batch, answers, claimed, vain, at = ARGV, {}, {}, {}, 1
while at <= #batch do
  local number, keyCount, callCount = tonumber(batch[at]), tonumber(batch[at + 1]), tonumber(batch[at + 2])
  local run, marker = commands[number], markers[number]
  local constant, varying = { string.byte(batch[at + 3], 1, -1) }, { string.byte(batch[at + 4], 1, -1) }
  at = at + 5
  local keys, args = {}, {}
  local function fill(columns)
    for index = 1, #columns do
      local column = columns[index]
      if column > keyCount then args[column - keyCount] = batch[at] else keys[column] = batch[at] end
      at = at + 1
    end
  end
  fill(constant)
  for call = 1, callCount do
    fill(varying)
    local looks = commits[number] and args[6] == '1'
    if looks and vain[keys[marker]] and call < callCount then args[6] = '0' end
    local isDone, answer = pcall(run, keys, args)
    if looks then
      args[6] = '1'
      vain[keys[marker]] = isDone and answer == 0
    end
    if isDone then
      if answer == nil then
        answer = false
      elseif type(answer) == 'table' and type(answer[1]) == 'table' then
        local prefix = string.sub(keys[marker], 1, -#'marker' - 1)
        claimed[keys[marker]] = answer
        answer[5] = resultsOf(answer[1], prefix .. answer[2]) or false
        answer[1] = cjson.encode(answer[1])
      elseif adds[number] then
        collectNote(keys, args, answer, #answers + 1)
      end
    else
      answer = errorOf(answer)
    end
    answers[#answers + 1] = answer
  end
end
pushNotes(function(number, failure) answers[number] = errorOf(failure) end)${TELL_LAST}
return answers`;

/**
 * Returns one script that runs calls of the given scripts; undefined if the shape of one is unknown. `ARGV` has runs of
 * calls, in the form of `encodeCalls`; its only key tells a cluster where to run it. An error of one call is the answer
 * to that call. The record of a claimed job is returned as one text (see `decodeAnswers`). The tags of a call are noted with
 * its job.
 */
export function batchScript(scripts: readonly NamedScript[]): string | undefined {
  const texts: string[] = [];
  let flags = '';
  for (const { command, lua } of scripts) {
    const parts = scriptPartsOf(lua);
    if (parts === undefined) return undefined;
    if (parts.flags !== '') flags = parts.flags;
    texts.push(`markers[#commands + 1] = ${MARKERS[command] ?? 'nil'}
adds[#commands + 1] = ${addsCalls(command)}
commits[#commands + 1] = ${command === COMMIT}
commands[#commands + 1] = (function()
${SHARED}
${parts.functions}
return function(KEYS, ARGV)
${parts.body}
end
end)()`);
  }
  return `${flags}local commands, markers, adds, commits = {}, {}, {}, {}\n${ONCE_PER_BATCH}\n${NOTE_CALLS}\n${texts.join('\n')}\n${READ_RESULTS}${ERROR_OF}${RUN_CALLS}`;
}

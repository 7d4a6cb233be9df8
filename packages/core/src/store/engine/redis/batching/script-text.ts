/**
 * This module turns the text of BullMQ's scripts, read from the client at run time, into one script that runs many of their
 * calls. Each script becomes a Lua function of its `KEYS` and `ARGV`. The functions that it declares are declared once for
 * the whole batch. If a text does not have the expected shape, its calls are not batched.
 */

/** A script as ioredis stores it. */
export interface ScriptText {
  readonly lua: string;
  readonly numberOfKeys: number;
}

/** Parts of the text of a script. */
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
  return { flags, functions: functions.join('\n'), body: body.join('\n') };
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

/** A script in a batch, with the number by which calls refer to it. */
const RUN_CALLS = `
local batch, answers, at = ARGV, {}, 1
while at <= #batch do
  local run, keyCount, callCount = commands[tonumber(batch[at])], tonumber(batch[at + 1]), tonumber(batch[at + 2])
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
    local isDone, answer = pcall(run, keys, args)
    if isDone then
      if answer == nil then
        answer = false
      elseif type(answer) == 'table' and type(answer[1]) == 'table' then
        answer[1] = cjson.encode(answer[1])
      end
    elseif type(answer) == 'table' and answer.err then
      answer = { err = answer.err }
    else
      answer = { err = 'ERR ' .. tostring(answer) }
    end
    answers[#answers + 1] = answer
  end
end
return answers`;

/**
 * Returns one script that runs calls of the given scripts; undefined if the shape of one is unknown. `ARGV` has runs of
 * calls, in the form of `encodeCalls`; its only key tells a cluster where to run it. An error of one call is the answer
 * to that call. The record of a claimed job is returned as one text (see `decodeAnswers`).
 */
export function batchScript(scripts: readonly ScriptText[]): string | undefined {
  const texts: string[] = [];
  let flags = '';
  for (const { lua } of scripts) {
    const parts = scriptPartsOf(lua);
    if (parts === undefined) return undefined;
    if (parts.flags !== '') flags = parts.flags;
    texts.push(`commands[#commands + 1] = (function()
${SHARED}
${parts.functions}
return function(KEYS, ARGV)
${parts.body}
end
end)()`);
  }
  return `${flags}local commands = {}\n${texts.join('\n')}\n${RUN_CALLS}`;
}

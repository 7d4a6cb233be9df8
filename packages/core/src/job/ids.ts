/**
 * Ids of jobs, and the paths in them. A path is the position of a job in its run, and the last part of its id:
 *
 * | path          | job                                                                              |
 * | ------------- | -------------------------------------------------------------------------------- |
 * | `p-2`         | third step of the chain at `p`; the last step has the path `p`                   |
 * | `p.3`         | fourth member of the group at `p`                                                |
 * | `p/1`         | second slice of the members of a large group at `p`                              |
 * | `p.3!`        | probe: reports the outcome of that member to a join with a rule                  |
 * | `p^`          | job that is wrapped by the job at `p`: a call with callbacks, of a fallback, flat |
 * | `p~`          | replacement of the job at `p`                                                    |
 * | `p@3`         | third turn of the loop at `p`; `p@3^t` is the step that decides after it         |
 * | `p~2`         | replacement after the second run of the handler, with another input              |
 * | `p.3+…+0=2f…` | first member that a job at `p.3…` added to the group at `p`, see workflow/added-members.ts |
 *
 * Ids come from the store, where anybody may have written them, so every function here takes time linear in their length.
 */

import { hash, randomFillSync } from 'node:crypto';

/** Returns the path of the chain in which further steps follow the job at this path; undefined if there is none. */
export function chainOf(path: string): string | undefined {
  const outer = withoutInside(path);
  const step = /-\d+$/.exec(outer);
  return step === null ? undefined : outer.slice(0, step.index);
}

/** Returns whether the job at `path` belongs to a step of the chain. The chain's own path, that of the last step, does not. */
export function isWithin(chain: string, path: string): boolean {
  return path.startsWith(`${chain}-`) || isInside(chain, path);
}

/** Returns whether the job at `path` belongs to the wrapped job or the replacement of the job at `outer`. */
export function isInside(outer: string, path: string): boolean {
  return path.startsWith(`${outer}^`) || path.startsWith(`${outer}~`);
}

/** Returns the path of a turn of the loop at `path`. Turns are counted from 1. */
export function turnAt(path: string, turn: number | '*'): string {
  return `${path}@${turn}`;
}

/** Returns the path of the step that decides after a turn. */
export function testAt(turnPath: string): string {
  return `${turnPath}^t`;
}

/** Returns the number of the turn of the loop at `path` that the job at `child` is, or decides after. */
export function turnIn(path: string, child: string): number | undefined {
  if (!child.startsWith(`${path}@`)) return undefined;
  const [, turn] = /^(\d{1,15})(?:\^t)?$/.exec(child.slice(path.length + 1)) ?? [];
  return turn === undefined ? undefined : Number(turn);
}

/** Returns the innermost group that contains the job at `path`, and the job's member; undefined outside of groups. */
export function memberOf(path: string): { group: string; member: string } | undefined {
  const dot = path.lastIndexOf('.');
  const [index] = /^\d+/.exec(path.slice(dot + 1)) ?? [];
  if (dot < 0 || index === undefined) return undefined;
  const group = path.slice(0, dot);
  return { group, member: `${group}.${index}` };
}

/** The last part of the path of an added member, after the path of the job that added it. See workflow/added-members.ts. */
export const ADDED_SUFFIX = /^(\d+)(?:_(\d+))?(?:=([0-9a-f]+))?$/;

/** Returns the path of the replacement of a job. @param epoch See `Envelope.epoch`. */
export function replacementAt(path: string, epoch = 0): string {
  return epoch === 0 ? `${path}~` : `${path}~${epoch + 1}`;
}

/** Returns the id of the job that added the job with this id to its group; undefined if it was not added by a handler. */
export function adderIn(id: string): string | undefined {
  const last = id.lastIndexOf('+');
  if (last < 0 || !ADDED_SUFFIX.test(id.slice(last + 1))) return undefined;
  for (let plus = id.lastIndexOf('+', last - 1); plus > 0; plus = id.lastIndexOf('+', plus - 1)) {
    let start = plus;
    while (isDigit(id[start - 1])) start -= 1;
    if (start < plus && id[start - 1] === '.') return id.slice(0, plus) + id.slice(plus + 1, last);
  }
  return undefined;
}

/** Returns the path without the suffixes for wrapped jobs and replacements. */
function withoutInside(path: string): string {
  let end = path.length;
  for (;;) {
    let start = end;
    while (isLetter(path[start - 1])) start -= 1;
    let digits = end;
    while (isDigit(path[digits - 1])) digits -= 1;
    if (path[start - 1] === '^') end = start - 1;
    else if (path[digits - 1] === '~') end = digits - 1;
    else return path.slice(0, end);
  }
}

function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= '0' && character <= '9';
}

function isLetter(character: string | undefined): boolean {
  return character !== undefined && character >= 'a' && character <= 'z';
}

/** Returns the path of a job of this run. */
export function pathOf(run: string, id: string): string {
  return id === run ? '' : id.slice(run.length + 1);
}

// Ids that callers pass. A queue's own keys have the same prefix as those of its jobs, so no id may name one of them.

/** Suffixes of the keys that BullMQ keeps for a queue. */
const QUEUE_KEYS: ReadonlySet<string> = new Set([
  ...[
    'active',
    'completed',
    'delayed',
    'failed',
    'paused',
    'prioritized',
    'stalled',
    'wait',
    'waiting-children',
  ],
  ...['de', 'events', 'id', 'limiter', 'marker', 'meta', 'metrics', 'pc', 'repeat', 'stalled-check'],
]);

/** Suffixes with several parts, which BullMQ keeps for jobs and other records of a queue. */
const COMPOUND_KEY =
  /^(?:de|metrics):|^repeat:[^:]*$|:(?:dependencies|failed|lock|logs|processed|unsuccessful)$/;

/** Long enough for the ids of deeply nested runs. */
const MAX_LENGTH = 10_000;

/** Returns whether a job can have this id. */
export function isJobId(id: string): boolean {
  return id.length > 0 && id.length <= MAX_LENGTH && !QUEUE_KEYS.has(id) && !COMPOUND_KEY.test(id);
}

/**
 * Returns letters, digits, `-` and `_` that stand for any text: the start of its SHA-256. Equal texts have equal ids.
 * @param length Maximum 43; each character has 6 bits.
 */
export function digestId(text: string, length: number): string {
  return hash('sha256', text, 'base64url').slice(0, length);
}

// New ids of jobs and runs. The store contains an id many times: in the keys of a job, in those of jobs that wait for it, in
// sets and in events. So an id has about as many random bits as a UUID, and no more. It has letters and digits only, which
// need no escape in keys, URLs and shells.

const SYMBOLS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Random bits per symbol. Two of the 64 numbers map to a symbol that another number has too, so 5.94 bits count. */
const BITS = 6;
const PAIR = 1 << (2 * BITS);
/** 21 symbols, 124 bits that count: ten numbers for two symbols each, and one for the last. */
const PAIRS_OF_ID = 10;
const NUMBERS_OF_ID = PAIRS_OF_ID + 1;
const IDS_AT_ONCE = 256;

/** The two symbols for each number below `PAIR`. Created with the first id. */
let pairs: readonly string[] = [];
const random = new Uint16Array(IDS_AT_ONCE * NUMBERS_OF_ID);
let next = random.length;

function symbolOf(number: number): string {
  return SYMBOLS.charAt((number & (2 ** BITS - 1)) % SYMBOLS.length);
}

/** Returns a new id of 21 letters and digits. */
export function randomId(): string {
  if (next === random.length) {
    if (pairs.length === 0)
      pairs = Array.from({ length: PAIR }, (_, number) => symbolOf(number >> BITS) + symbolOf(number));
    randomFillSync(random);
    next = 0;
  }
  let id = '';
  for (const end = next + PAIRS_OF_ID; next < end; next += 1) id += pairs[(random[next] ?? 0) % PAIR];
  id += symbolOf(random[next] ?? 0);
  next += 1;
  return id;
}

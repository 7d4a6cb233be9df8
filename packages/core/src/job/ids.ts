/**
 * Paths tell a job's place in its run, and are a part of its id:
 *
 * | path   | is                                                                  |
 * | ------ | ------------------------------------------------------------------- |
 * | `p-2`  | the third step of the chain at `p`; the last step is at `p` itself  |
 * | `p.3`  | the fourth member of the group at `p`                               |
 * | `p/1`  | the second slice of the members of a large group at `p`             |
 * | `p.3!` | what tells a join with a rule of its own how that member has ended    |
 * | `p^`   | what stands inside of the job at `p`: of callbacks, a fallback, flat |
 * | `p~`   | what the handler of the job at `p` has put in its place             |
 * | `p~2`  | the same of its second run, with another input                      |
 * | `p.3+…+0=2f…` | what a job at `p.3…` has added first to the group at `p`, see `added.ts` |
 *
 * Ids come from the store, where anybody may have written them, so reading one takes a time in proportion to its length.
 */

/** The chain of which the job at this path is a step that others follow; undefined if it is not. */
export function chainOf(path: string): string | undefined {
  const outer = withoutInside(path);
  const step = /-\d+$/.exec(outer);
  return step === null ? undefined : outer.slice(0, step.index);
}

/** Whether the job at `path` belongs to a step of the chain; that of the last step itself stands for the whole chain. */
export function isWithin(chain: string, path: string): boolean {
  return path.startsWith(`${chain}-`) || isInside(chain, path);
}

/** Whether the job at `path` is what the one at `place` wraps, or what was put in its place, or a part of that. */
export function isInside(place: string, path: string): boolean {
  return path.startsWith(`${place}^`) || path.startsWith(`${place}~`);
}

/** The innermost group that the job at `path` is in, and its member there; undefined outside of groups. */
export function memberOf(path: string): { group: string; member: string } | undefined {
  const dot = path.lastIndexOf('.');
  const [index] = /^\d+/.exec(path.slice(dot + 1)) ?? [];
  if (dot < 0 || index === undefined) return undefined;
  const group = path.slice(0, dot);
  return { group, member: `${group}.${index}` };
}

/** The end of the path of an added member, behind that of the job that has added it; see `added.ts`. */
export const ADDED_SUFFIX = /^(\d+)(?:_(\d+))?(?:=([0-9a-f]+))?$/;

/** The path of what the handler of the job at this path puts in its place, after it was run anew so often. */
export function replacementAt(path: string, epoch = 0): string {
  return epoch === 0 ? `${path}~` : `${path}~${epoch + 1}`;
}

/** The id of the job that has added the one with this id to its group; undefined if none has. */
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

/** The path without what wraps the job at its place, or is put in its place. */
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

function isDigit(sign: string | undefined): boolean {
  return sign !== undefined && sign >= '0' && sign <= '9';
}

function isLetter(sign: string | undefined): boolean {
  return sign !== undefined && sign >= 'a' && sign <= 'z';
}

/** The path of the job with this id in its run. */
export function pathOf(run: string, id: string): string {
  return id === run ? '' : id.slice(run.length + 1);
}

/** Ids that callers give: the keys of a queue stand beside those of its jobs, and no id may name one of them. */

/** What BullMQ keeps of a queue, beside its jobs. */
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

/** What BullMQ keeps of a job, or of other things in a queue, under a key of several parts. */
const PARTS = /^(?:de|metrics):|^repeat:[^:]*$|:(?:dependencies|failed|lock|logs|processed|unsuccessful)$/;

/** Long enough for the ids of deeply nested runs; longer ones are no ids of jobs. */
const MAX_LENGTH = 10_000;

/** Whether a job can have this id. */
export function isJobId(id: string): boolean {
  return id.length > 0 && id.length <= MAX_LENGTH && !QUEUE_KEYS.has(id) && !PARTS.test(id);
}

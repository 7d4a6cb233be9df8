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
 * | `p.3+…+0` | what a job at `p.3…` has added first to the group at `p`          |
 */

/** What wraps the job at a place, and is put in its place. */
const INSIDE = /(?:\^[a-z]*|~)+$/;

/** The chain of which the job at this path is a step that others follow; undefined if it is not. */
export function chainOf(path: string): string | undefined {
  const outer = path.replace(INSIDE, '');
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
  const match = /^(.*)\.(\d+)([^.]*)$/.exec(path);
  if (match === null) return undefined;
  const [, group = '', index = ''] = match;
  return { group, member: `${group}.${index}` };
}

/** The path of the job with this id in its run. */
export function pathOf(run: string, id: string): string {
  return id === run ? '' : id.slice(run.length + 1);
}

/** Marks on what is added to a run that was revoked, or to a part of it that is not needed any more. */
import type { JobRef } from './job.js';
import { foldTree, type JobNode, jobIdOf } from './job-tree.js';

/** What of a run was revoked. */
export interface Revoked {
  readonly all: boolean;
  /** It is not needed any more, rather than unwanted. */
  readonly skipped?: true;
  readonly tags: readonly string[];
}

export const NOTHING_REVOKED: Revoked = { all: false, tags: [] };

/** What looks for marks, and sets them. */
interface Marks {
  revokedOf(place: JobRef): Promise<Revoked | undefined>;
  revoke(
    queue: string,
    id: string,
    mark: { readonly now: number; readonly skipped?: true; readonly tag?: string },
  ): Promise<unknown>;
}

export function isAny({ all, tags }: Revoked): boolean {
  return all || tags.length > 0;
}

/** Whether what is known by now was known before. */
export function isSame(known: Revoked, before: Revoked): boolean {
  return known.all === before.all && known.tags.length === before.tags.length;
}

/** The marks that hold for whatever one job adds: those of the run, and those of the job itself. */
export async function revocationOf(store: Marks, places: readonly JobRef[]): Promise<Revoked> {
  const found = await Promise.all(places.map((place) => store.revokedOf(place)));
  const marks = found.map((each) => each ?? NOTHING_REVOKED);
  // What is unwanted is that, also where it is not needed either.
  const whole = marks.find(({ all, skipped }) => all && !skipped) ?? marks.find(({ all }) => all);
  return {
    all: whole !== undefined,
    ...(whole?.skipped && { skipped: whole.skipped }),
    tags: [...new Set(marks.flatMap(({ tags }) => tags))],
  };
}

/** The tree with a mark on what was revoked. */
export function markedTree(root: JobNode, { all, skipped, tags }: Revoked, now: number): JobNode {
  return foldTree<JobNode>(root, (node, children) => {
    const isRevoked = all || node.options?.tags?.some((tag) => tags.includes(tag)) === true;
    const mark = { revoked: now, ...(all && skipped && { skipped }) };
    return {
      ...node,
      ...(isRevoked && { content: { ...node.content, ...mark } }),
      ...(children !== undefined && { children }),
    };
  });
}

/** Marks what was added without the marks that hold for it. */
export async function markAdded(
  store: Marks,
  run: string,
  added: readonly JobNode[],
  { all, skipped, tags }: Revoked,
  now: number,
): Promise<void> {
  const marks = all ? [{ now, ...(skipped && { skipped }) }] : tags.map((tag) => ({ now, tag }));
  for (const mark of marks)
    for (const { path, queue } of added) await store.revoke(queue, jobIdOf(run, path), mark);
}

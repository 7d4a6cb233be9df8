/** Revocation marks on jobs that are added to a run after it, or a part of it, was revoked or became unnecessary. */
import type { JobRef } from './job.js';
import { foldTree, type JobNode, jobIdOf } from './job-tree.js';

/** The revoked part of a run. */
export interface Revoked {
  readonly all: boolean;
  /** The jobs are skipped because their result is no longer needed; nobody revoked them. */
  readonly skipped?: true;
  /** The tags whose jobs were revoked. */
  readonly tags: readonly string[];
}

export const NOTHING_REVOKED: Revoked = { all: false, tags: [] };

/** The part of the store that reads and sets marks. */
export interface MarkStore {
  revokedOf(job: JobRef): Promise<Revoked | undefined>;
  revoke(
    queue: string,
    id: string,
    mark: { readonly now: number; readonly skipped?: true; readonly tag?: string },
  ): Promise<unknown>;
}

export function isAny({ all, tags }: Revoked): boolean {
  return all || tags.length > 0;
}

/** Returns whether two readings of the marks are equal. Marks are only ever added, so counting the tags is enough. */
export function isSame(known: Revoked, before: Revoked): boolean {
  return known.all === before.all && known.tags.length === before.tags.length;
}

/** Returns the union of the marks of several jobs: for a job that adds others, those of its run and its own. */
export async function revocationOf(store: MarkStore, jobs: readonly JobRef[]): Promise<Revoked> {
  const found = await Promise.all(jobs.map((job) => store.revokedOf(job)));
  return unionOf(found.map((each) => each ?? NOTHING_REVOKED));
}

/** Returns the union of marks. */
export function unionOf(marks: readonly Revoked[]): Revoked {
  // Revoked takes precedence over skipped.
  const whole = marks.find(({ all, skipped }) => all && !skipped) ?? marks.find(({ all }) => all);
  return {
    all: whole !== undefined,
    ...(whole?.skipped && { skipped: whole.skipped }),
    tags: [...new Set(marks.flatMap(({ tags }) => tags))],
  };
}

/** Returns the tree with marks on the revoked jobs. */
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

/** Marks jobs that were added without the marks that apply to them. */
export async function markAdded(
  store: MarkStore,
  run: string,
  added: readonly JobNode[],
  { all, skipped, tags }: Revoked,
  now: number,
): Promise<void> {
  const marks = all ? [{ now, ...(skipped && { skipped }) }] : tags.map((tag) => ({ now, tag }));
  for (const mark of marks)
    for (const { path, queue } of added) await store.revoke(queue, jobIdOf(run, path), mark);
}

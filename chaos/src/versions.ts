/**
 * Versions of the code that workers and senders run. Each one renames the task of the nodes and keeps the older names, as
 * docs/upgrading.md advises. An even version is deployed to the workers first, so its task stays in the default queue. An
 * odd one is deployed to the senders first, so its task has a queue that older workers do not serve.
 */

/** Deployments of one campaign end with this version. */
export const LAST_VERSION = 40;

export function isSendersFirst(version: number): boolean {
  return version > 1 && version % 2 === 1;
}

export function nodeNameOf(version: number): string {
  return version === 1 ? 'node' : `node-${version}`;
}

export function isNodeName(task: string): boolean {
  return /^node(-\d+)?$/.test(task);
}

export function queueOf(version: number): string {
  return isSendersFirst(version) ? `v${version}` : 'default';
}

/** The queues of the tasks of a version and of all before it. */
export function queuesOf(version: number): string[] {
  const all = Array.from({ length: version }, (_, index) => queueOf(index + 1));
  return [...new Set(all)];
}

/** This module finds the apps in a store by the names of their queues. The CLI and `ops/` use it. */
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { CONTROL_QUEUE, REPLY_QUEUE, WORKER_QUEUE } from './control-queue.js';
import { queueNamesIn } from './primitives/queues.js';
import type { Store } from './store.js';

/** An app with queues in the store. */
export interface FoundApp {
  readonly name: string;
  /** Its queues of tasks, by name. */
  readonly queues: readonly string[];
}

/** The apps that have keys in a store. */
export interface FoundApps {
  /** Sorted by name. */
  readonly apps: readonly FoundApp[];
  /** Whether the list is complete: of a large store or a cluster, only a part is scanned. */
  readonly isComplete: boolean;
}

/** Apps with the default prefix store their queues as `umbel:{name}:queue`. */
const START = 'umbel:{';
const QUALIFIED = /^umbel:\{([^{}]+)\}:([A-Za-z0-9_.-]{1,100})$/;
const INTERNAL_NAMES: ReadonlySet<string> = new Set([
  INTERNAL_QUEUE,
  CONTROL_QUEUE,
  REPLY_QUEUE,
  WORKER_QUEUE,
]);

export async function appsIn(store: Store): Promise<FoundApps> {
  const found = await store.on(INTERNAL_QUEUE, async (bull) =>
    queueNamesIn(bull.getBackend())?.queueNames(START),
  );
  const apps = new Map<string, string[]>();
  for (const qualified of found?.names ?? []) {
    const [, name = '', queue = ''] = QUALIFIED.exec(qualified) ?? [];
    if (name === '') continue;
    const queues = apps.get(name) ?? [];
    apps.set(name, queues);
    if (!INTERNAL_NAMES.has(queue) && !queue.startsWith(`${INTERNAL_QUEUE}.`)) queues.push(queue);
  }
  const sorted = [...apps].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    apps: sorted.map(([name, queues]) => ({ name, queues: queues.sort() })),
    isComplete: found?.isComplete ?? false,
  };
}

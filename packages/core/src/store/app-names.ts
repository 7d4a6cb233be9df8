/** Which apps a store holds, seen by the queues in it. */
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { CONTROL_QUEUE, REPLY_QUEUE, WORKER_QUEUE } from './control-queue.js';
import { queueNamesIn } from './primitives/queue-names.js';
import type { Store } from './store.js';

/** An app that the store holds something of. */
export interface FoundApp {
  readonly name: string;
  /** Its queues of tasks, by name. */
  readonly queues: readonly string[];
}

export interface FoundApps {
  /** By name. */
  readonly apps: readonly FoundApp[];
  /** Whether there are no others: of a large store, or a cluster, a part is looked at. */
  readonly isComplete: boolean;
}

/** Apps without a prefix of their own store their queues as `umbel:{name}:queue`. */
const START = 'umbel:{';
const QUALIFIED = /^umbel:\{([^{}]+)\}:([A-Za-z0-9_.-]{1,100})$/;
const OWN: ReadonlySet<string> = new Set([INTERNAL_QUEUE, CONTROL_QUEUE, REPLY_QUEUE, WORKER_QUEUE]);

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
    if (!OWN.has(queue) && !queue.startsWith(`${INTERNAL_QUEUE}.`)) queues.push(queue);
  }
  const sorted = [...apps].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    apps: sorted.map(([name, queues]) => ({ name, queues: queues.sort() })),
    isComplete: found?.isComplete ?? false,
  };
}

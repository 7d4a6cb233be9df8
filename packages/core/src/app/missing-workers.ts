/** Whether anybody serves a queue: asked when a result does not come. */
import type { Asking } from '../control/asking.js';
import { stateOf } from '../control/worker-record.js';
import { listed } from '../errors/describe.js';
import { INTERNAL_QUEUE } from '../flow/node.js';

/** What is to be done where no worker is known that serves a queue; undefined if one is. */
export async function whoIsMissing(asking: Asking, app: string, queue: string): Promise<string | undefined> {
  const records = await asking.records();
  const present = records.filter((record) => stateOf(record, asking.now) !== 'missing');
  // Every worker serves the queue of compositions.
  const isServed =
    queue === INTERNAL_QUEUE
      ? present.length > 0
      : present.some(({ queues }) => Object.hasOwn(queues, queue));
  if (isServed) return undefined;
  const others = [...new Set(present.flatMap(({ queues }) => Object.keys(queues)))].sort();
  if (queue === INTERNAL_QUEUE || others.length === 0) {
    return `No worker of app "${app}" is known to run: start one, with the same store, name of the app and prefix.`;
  }
  return `No worker is known that serves queue "${queue}" of app "${app}" (served: ${listed(others)}): start one with app.worker({ queues: ['${queue}'] }), or correct the queue.`;
}

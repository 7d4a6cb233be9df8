import type { Store } from '../bullmq/store.js';
import { IdempotencyConflictError } from '../errors.js';
import { nodesOf } from '../flow/expansion.js';
import type { FlowNode } from '../flow/node.js';
import { jobsOf } from '../flow/walk.js';
import { idempotentId, inputDigest } from '../tasks/deduplication.js';
import { checkText } from '../tasks/options.js';

/** What stands for a call with an idempotency key. */
export interface Keyed {
  readonly id: string;
  readonly content: { readonly key: string; readonly digest: string };
}

export function keyedContent(name: string, key: string, input: unknown): Keyed {
  checkText('idempotencyKey', key, 1000);
  return { id: idempotentId(name, key), content: { key, digest: inputDigest(input) } };
}

/** What makes one composition differ from another: its tasks, in their places, and their inputs. */
export function shapeOf(root: FlowNode): unknown {
  return Array.from(jobsOf(root), ({ path, name, input, items, into, expand }) => {
    const added = expand && [Object.keys(expand).sort(), nodesOf(expand).map(shapeOf)];
    return [path, name, input, items, into, added];
  });
}

/** Whether the store has the call of this key. @throws {IdempotencyConflictError} if it has another one. */
export async function isStored(
  store: Store,
  queue: string,
  task: string,
  { id, content }: Keyed,
  timeoutMs: number | undefined,
): Promise<boolean> {
  const stored = await store.job(queue, id, timeoutMs);
  if (stored === undefined) return false;
  if (stored.envelope?.digest === content.digest) return true;
  throw new IdempotencyConflictError(task, content.key, id);
}

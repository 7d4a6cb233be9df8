import type { Store } from '../bullmq/store.js';
import { IdempotencyConflictError } from '../errors.js';
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

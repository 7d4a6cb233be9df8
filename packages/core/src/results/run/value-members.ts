/** The members of a result that is there as a whole. */
import type { Store } from '../../bullmq/store.js';
import type { JobPlace } from '../../bullmq/tree.js';
import { recordOf } from '../../tasks/failure-record.js';
import { isPlainObject } from '../../wire/plain-object.js';
import type { MemberOutcome } from '../member-outcome.js';

/** Its items, or its values; another value is one member. */
export function membersOfValue(value: unknown): MemberOutcome<unknown>[] {
  if (Array.isArray(value)) return value.map((item: unknown, index) => ({ index, ok: true, value: item }));
  if (!isPlainObject(value)) return [{ index: 0, ok: true, value }];
  return Object.entries(value).map(([key, item], index) => ({ index, key, ok: true, value: item }));
}

/** Those of a job that has ended; a failed one is one member. */
export async function wholeMembers(store: Store, { queue, id }: JobPlace): Promise<MemberOutcome<unknown>[]> {
  const outcome = await store.outcome(queue, id);
  if (outcome.kind === 'completed') return membersOfValue(outcome.value);
  return outcome.kind === 'failed' ? [{ index: 0, ok: false, error: recordOf(outcome.failure) }] : [];
}

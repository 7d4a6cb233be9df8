/** What bears a tag: found, and revoked. */
import { INTERNAL_QUEUE } from '../flow/node.js';
import type { AsyncResult } from '../results/async-result.js';
import { StoredResult } from '../results/result.js';
import { revokeJobs } from '../results/revoking.js';
import { checkTags } from '../tasks/options.js';
import type { AppParts } from './parts.js';

type TagParts = Pick<AppParts, 'tags' | 'store' | 'results' | 'runtime'>;

export async function* findByTag(
  { tags, store, results, runtime }: TagParts,
  tag: string,
): AsyncGenerator<AsyncResult<unknown>, void> {
  checkTags([tag]);
  await store.timeKnown();
  for await (const { queue, id } of tags.find(tag, runtime.clock.now())) {
    if (await store.holds(queue, id)) yield new StoredResult(results, { queue }, id);
  }
}

/** The number of jobs of tasks that were marked. */
export async function revokeByTag(
  { tags, store, results, runtime }: TagParts,
  tag: string,
  isTerminated: boolean,
): Promise<number> {
  checkTags([tag]);
  await store.timeKnown();
  const now = runtime.clock.now();
  let count = 0;
  for await (const place of tags.find(tag, now)) {
    const marked = await revokeJobs(results, place, { now, tag }, isTerminated);
    count += marked.filter((job) => job.queue !== INTERNAL_QUEUE).length;
  }
  return count;
}

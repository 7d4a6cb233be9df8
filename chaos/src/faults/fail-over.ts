import type { ClusterStore } from '../redis/cluster.js';
import type { Fault } from './fault.js';

/** `kill -9` of a primary of the cluster: mostly of the one that holds the jobs. */
export function failOver(store: ClusterStore, everyMs: Fault['everyMs']): Fault {
  return {
    name: 'fail-over',
    everyMs,
    async strike({ history, prefix }, random) {
      const isOther = random.below(4) === 0;
      const key = isOther ? `${random.next()}` : prefix;
      const since = Date.now();
      const port = await store.failOver(key);
      history.note({ event: 'fault', fault: 'fail-over', target: 'store', since, detail: `port ${port}` });
      return true;
    },
  };
}

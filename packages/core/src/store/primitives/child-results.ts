/** This module removes results of children from a job that still runs. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { runScript, type Script } from './scripts.js';

export interface ChildResults {
  /**
   * Removes ended children from the lists of their parent, by the keys by which the parent refers to them. Their results
   * and failures are then unknown to the parent. Without this command, the lists of a loop grow with each turn.
   */
  removeChildResults(parentId: string, childKeys: readonly string[]): Promise<void>;
}

const REMOVE_CHILD_RESULTS: Script = {
  name: 'umbel:removeChildResults',
  numberOfKeys: 2,
  lua: `for _, child in ipairs(ARGV) do
  redis.call('HDEL', KEYS[1], child)
  redis.call('HDEL', KEYS[2], child)
end`,
};

/** Returns the command; undefined for a store without it. */
export function childResultsIn(backend: IQueueBackend): ChildResults | undefined {
  if (!(backend instanceof RedisQueueBackend))
    return 'removeChildResults' in backend ? (backend as IQueueBackend & ChildResults) : undefined;
  return {
    async removeChildResults(parentId, childKeys) {
      const key = backend.toKey(parentId);
      await runScript(backend, REMOVE_CHILD_RESULTS, [`${key}:processed`, `${key}:failed`, ...childKeys]);
    },
  };
}

/** Events that are too old to be kept. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { runScript, type Script } from './scripts.js';

export interface OldEvents {
  /**
   * Removes the events of a queue that were written before a moment, in milliseconds since 1970; the newest one stays, so
   * that a reader that has read all finds its place again. Without it, events go only when 10,000 newer ones have come.
   * The memory store has no such command: it ends with its process, and its clock may skip days before a reader reads.
   */
  removeOldEvents(before: number): Promise<void>;
}

const REMOVE_OLD_EVENTS: Script = {
  name: 'umbel:removeOldEvents',
  numberOfKeys: 1,
  lua: `if redis.call('XREAD', 'COUNT', 1, 'STREAMS', KEYS[1], ARGV[1]) then
  return redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
end
return redis.call('XTRIM', KEYS[1], 'MAXLEN', 1)`,
};

/** Of a store that has it. */
export function oldEventsIn(backend: IQueueBackend): OldEvents | undefined {
  if (!(backend instanceof RedisQueueBackend)) return undefined;
  return {
    async removeOldEvents(before) {
      await runScript(backend, REMOVE_OLD_EVENTS, [backend.toKey('events'), Math.max(0, Math.floor(before))]);
    },
  };
}

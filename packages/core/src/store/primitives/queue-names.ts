/** This module finds the queues in a store, for callers that do not know the names of apps. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { runScript, type Script } from './scripts.js';

/** Qualified names of queues of a store. */
interface QueueNames {
  readonly names: readonly string[];
  /** Whether the list is complete: only a part of a large store is scanned. */
  readonly isComplete: boolean;
}

export interface QueueNamePrimitive {
  /** Returns used queues whose qualified names begin with `start`. Scans a bounded number of keys; in a cluster, those of one node. */
  queueNames(start: string): Promise<QueueNames>;
}

const QUEUE_NAMES: Script = {
  name: 'umbel:queueNames',
  numberOfKeys: 1,
  lua: `local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local names = {}
for _, key in ipairs(page[2]) do
  local name = string.match(key, '^(.*):id$') or string.match(key, '^(.*%.control):events$')
  if name then names[#names + 1] = name end
end
return { page[1], names }`,
};

/** Number of keys that one command scans, which takes about a millisecond, and maximum number of commands. */
const NAMES = { atOnce: 1000, pages: 300 };

/** Returns the command; undefined for a store without it. */
export function queueNamesIn(backend: IQueueBackend): QueueNamePrimitive | undefined {
  if (backend instanceof RedisQueueBackend) return { queueNames: (start) => redisQueueNames(backend, start) };
  return 'queueNames' in backend ? (backend as IQueueBackend & QueueNamePrimitive) : undefined;
}

/** Scans for keys that only use creates: `id` exists since the first job of a queue, `control:events` since the first worker. Metadata exist after a mere read. */
async function redisQueueNames(backend: RedisQueueBackend, start: string): Promise<QueueNames> {
  const pattern = `${start.replaceAll(/[*?[\]\\^]/g, '\\$&')}*`;
  const names = new Set<string>();
  let cursor = '0';
  for (let page = 0; page < NAMES.pages; page += 1) {
    const args = [backend.toKey('meta'), cursor, pattern, NAMES.atOnce];
    const [next, found] = (await runScript(backend, QUEUE_NAMES, args)) as [string, string[]];
    for (const name of found) names.add(name);
    cursor = next;
    if (cursor === '0') break;
  }
  return { names: [...names], isComplete: cursor === '0' };
}

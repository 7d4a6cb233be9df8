/** The names of the queues of a store, for who does not know the name of an app. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { runScript, type Script } from './scripts.js';

/** Some of the queues of a store, by their qualified names. */
interface QueueNames {
  readonly names: readonly string[];
  /** Whether no other ones are there: a large store is looked at in part. */
  readonly isComplete: boolean;
}

export interface QueueNamePrimitive {
  /** Queues whose qualified names begin so, and that were used. Looks at a bounded number of keys; of a cluster, at those of one node. */
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

/** Keys that are looked at for names of queues: in one command, which takes about a millisecond, and in all. */
const NAMES = { atOnce: 1000, pages: 300 };

/** Of a store that has it. */
export function queueNamesIn(backend: IQueueBackend): QueueNamePrimitive | undefined {
  if (backend instanceof RedisQueueBackend) return { queueNames: (start) => redisQueueNames(backend, start) };
  return 'queueNames' in backend ? (backend as IQueueBackend & QueueNamePrimitive) : undefined;
}

/** Keys of meta data are left by looking; those of ids by the first job of a queue, and events of control by a worker. */
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

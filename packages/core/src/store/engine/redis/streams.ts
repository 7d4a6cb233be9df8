/** This module reads the events of many queues with one command of Redis, and removes old events. */
import { QueueKeys, type RedisQueueBackend, type StreamReadRaw } from 'bullmq';
import type { OldEvents, StreamsPrimitive } from '../../primitives/streams.js';
import { runScript, type Script } from './scripts.js';

export function redisStreams(backend: RedisQueueBackend): StreamsPrimitive {
  const { qualifiedName } = backend;
  const keys = new QueueKeys(qualifiedName.slice(0, qualifiedName.lastIndexOf(':')));
  return {
    async readStreams(places, limit, blockMs) {
      const client = await backend.connection.client;
      const streams = places.map(({ queue, after }) => ({ key: keys.toKey(queue, 'events'), id: after }));
      const options = { COUNT: limit, ...(blockMs !== undefined && { BLOCK: blockMs }) };
      const answer = (await client.xread(streams, options)) as StreamReadRaw | null; // BullMQ's type of the answer
      // The answer omits streams without events.
      const found = new Map(answer?.map(([key, entries]) => [key, entries]));
      return streams.map(({ key }) => found.get(key) ?? []);
    },
  };
}

const REMOVE_OLD_EVENTS: Script = {
  name: 'umbel:removeOldEvents',
  numberOfKeys: 1,
  lua: `if redis.call('XREAD', 'COUNT', 1, 'STREAMS', KEYS[1], ARGV[1]) then
  return redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
end
return redis.call('XTRIM', KEYS[1], 'MAXLEN', 1)`,
};

export function redisOldEvents(backend: RedisQueueBackend): OldEvents {
  return {
    async removeOldEvents(before) {
      await runScript(backend, REMOVE_OLD_EVENTS, [backend.toKey('events'), Math.max(0, Math.floor(before))]);
    },
  };
}

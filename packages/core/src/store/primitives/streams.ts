/** Events of many queues, read by one command. */
import { type EntryRaw, type IQueueBackend, QueueKeys, RedisQueueBackend, type StreamReadRaw } from 'bullmq';

/** A place in the events of a queue: those after this id follow. */
export interface StreamPlace {
  readonly queue: string;
  readonly after: string;
}

export interface StreamsPrimitive {
  /**
   * The events after each of these places, in the order of the places, oldest first, at most `limit` of each. With
   * `blockMs` it waits so long for the first of them. Without it, each queue is read by a command of its own, as a whole,
   * and whoever reads looks again and again.
   */
  readStreams(
    places: readonly StreamPlace[],
    limit: number,
    blockMs?: number,
  ): Promise<readonly (readonly EntryRaw[])[]>;
}

/** Undefined for a store that does not have it. */
export function streamsIn(backend: IQueueBackend, prefix: string): StreamsPrimitive | undefined {
  if (backend instanceof RedisQueueBackend) return redisStreams(backend, new QueueKeys(prefix));
  return 'readStreams' in backend ? (backend as IQueueBackend & StreamsPrimitive) : undefined;
}

function redisStreams(backend: RedisQueueBackend, keys: QueueKeys): StreamsPrimitive {
  return {
    async readStreams(places, limit, blockMs) {
      const client = await backend.connection.client;
      const streams = places.map(({ queue, after }) => ({ key: keys.toKey(queue, 'events'), id: after }));
      const options = { COUNT: limit, ...(blockMs !== undefined && { BLOCK: blockMs }) };
      const answer = (await client.xread(streams, options)) as StreamReadRaw | null; // as BullMQ has it
      // Streams without events are left out of the answer.
      const found = new Map(answer?.map(([key, entries]) => [key, entries]));
      return streams.map(({ key }) => found.get(key) ?? []);
    },
  };
}

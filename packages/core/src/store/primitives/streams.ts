/** This module reads the events of many queues with one command. */
import { type EntryRaw, type IQueueBackend, QueueKeys, RedisQueueBackend, type StreamReadRaw } from 'bullmq';

/** A position in the events of a queue: the id of the last event that was read. */
export interface StreamPlace {
  readonly queue: string;
  readonly after: string;
}

export interface StreamsPrimitive {
  /**
   * Returns the events after each position, in the order of the positions, oldest first, at most `limit` of each. With
   * `blockMs` it waits up to that time for the first event. Without this command, each queue is read with a separate
   * command and without a limit, and readers have to poll.
   */
  readStreams(
    places: readonly StreamPlace[],
    limit: number,
    blockMs?: number,
  ): Promise<readonly (readonly EntryRaw[])[]>;
}

/** Returns the command; undefined for a store without it. */
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
      const answer = (await client.xread(streams, options)) as StreamReadRaw | null; // BullMQ's type of the answer
      // The answer omits streams without events.
      const found = new Map(answer?.map(([key, entries]) => [key, entries]));
      return streams.map(({ key }) => found.get(key) ?? []);
    },
  };
}

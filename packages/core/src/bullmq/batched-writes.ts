/**
 * Commands that are given in one turn of the event loop go to Redis in one packet.
 *
 * ioredis writes each command by itself, and each packet costs a system call here and another one there. No command
 * waits longer for it: the packet leaves before the event loop goes on.
 */
import type { Writable } from 'node:stream';
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';

const batching = new WeakSet<object>();

/** To be called once the backend is connected. Does nothing for other clients than ioredis, or for a cluster. */
export async function batchesWrites(backend: IQueueBackend): Promise<void> {
  if (!(backend instanceof RedisQueueBackend)) return;
  const client: object = await backend.connection.client;
  if (batching.has(client) || !('on' in client && typeof client.on === 'function')) return;
  batching.add(client);
  const batch = () => {
    if ('stream' in client) batchTurns(client.stream);
  };
  batch();
  client.on('connect', batch); // each connection has a stream of its own
}

/** Sends what is written in one turn of the event loop together. */
export function batchTurns(stream: unknown): void {
  if (!isSocket(stream) || batching.has(stream)) return;
  batching.add(stream);
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  let isCorked = false;
  const send = () => {
    isCorked = false;
    stream.uncork();
  };
  stream.write = (...args: unknown[]) => {
    if (!isCorked) {
      isCorked = true;
      stream.cork();
      process.nextTick(send); // after all that promises have still to do in this turn
    }
    return write(...args);
  };
}

function isSocket(stream: unknown): stream is Writable {
  return typeof stream === 'object' && stream !== null && 'cork' in stream && 'write' in stream;
}

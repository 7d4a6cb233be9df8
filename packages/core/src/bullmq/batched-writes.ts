/**
 * Commands that are given in one turn of the event loop go to Redis together, up to eight in a packet.
 *
 * ioredis writes each command by itself, and each packet costs a system call here and another one there. More than a
 * few at a time are no gain: Redis would have nothing to do while the turn goes on. No command waits for a later turn.
 */
import type { Writable } from 'node:stream';
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';

const MOST = 8;

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
  let held = 0;
  let isScheduled = false;
  const send = () => {
    if (held === 0) return;
    held = 0;
    stream.uncork();
  };
  const sendLast = () => {
    isScheduled = false;
    send();
  };
  stream.write = (...args: unknown[]) => {
    if (held === 0) stream.cork();
    held += 1;
    const isBelowMark = write(...args);
    if (held === MOST) send();
    else if (!isScheduled) {
      isScheduled = true;
      process.nextTick(sendLast); // after all that promises have still to do in this turn
    }
    return isBelowMark;
  };
}

function isSocket(stream: unknown): stream is Writable {
  return typeof stream === 'object' && stream !== null && 'cork' in stream && 'write' in stream;
}

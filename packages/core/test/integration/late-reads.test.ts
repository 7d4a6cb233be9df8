import { randomUUID } from 'node:crypto';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, inject, onTestFinished, test } from 'vitest';
import { resolveConnection } from '../../src/bullmq/connection.js';
import { StreamReader } from '../../src/bullmq/event-reader.js';

/** A way to the store that can be made to carry nothing, not even the end of a connection. */
async function slowStore() {
  const { hostname, port } = new URL(inject('redisUrl'));
  const open = new Set<Socket>();
  const unheard: (() => void)[] = [];
  let isSilent = false;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    const store = connect(Number(port), hostname);
    socket.on('data', (data) => isSilent || store.write(data));
    store.on('data', (data) => isSilent || socket.write(data));
    const end = () => {
      open.delete(socket);
      socket.destroy();
      store.destroy();
    };
    socket.on('end', () => (isSilent ? unheard.push(end) : end()));
    for (const each of [socket, store]) each.on('close', end).on('error', end);
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open,
    silence: (silent: boolean) => {
      isSilent = silent;
      for (const end of silent ? [] : unheard.splice(0)) end();
    },
  };
}

test('a reader that is closed while its read is late leaves no connection open', async () => {
  const store = await slowStore();
  const closing = new AbortController();
  let reads = 0;
  const options = {
    connection: resolveConnection(store.url),
    prefix: `umbel:{${randomUUID()}}`,
    closing,
    onError: () => {},
    pause: (ms: number) => sleep(ms),
  };
  const taker = {
    blockMs: 50,
    position: () => {
      reads += 1;
      return '$';
    },
    take: () => {},
  };
  const reader = new StreamReader('default', options as never, taker);
  await expect.poll(() => reads, { timeout: 10_000 }).toBeGreaterThan(2);
  expect(store.open.size).toBeGreaterThan(0);
  store.silence(true);
  await sleep(200); // a read is under way, which gets no answer
  await reader.close();
  store.silence(false);
  // BullMQ has ended the connection a second after the read, to open it anew.
  await sleep(3000);
  expect(store.open.size).toBe(0);
});

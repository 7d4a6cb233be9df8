/** The HTTP server of a worker's probes, and who keeps it from closing. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { HealthServer } from '../../../src/worker/health.js';

const fine = async () => ({ live: true, ready: true, reasons: [] });

async function connectedTo(port: number, text?: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  if (text !== undefined) socket.write(text);
  return socket;
}

/** Whatever the other side does. */
const ends = (socket: Socket) =>
  once(
    socket.on('error', () => {}),
    'close',
  );

test.each([
  ['says nothing', undefined],
  ['has said half of what it wants', 'GET /livez HTTP/1.1\r\nhost: here\r\n'],
])('who is connected and %s does not keep the server open', async (_, text) => {
  const server = new HealthServer(fine);
  const port = await server.listen(0, '127.0.0.1');
  const socket = await connectedTo(port, text);
  const ended = ends(socket);
  // The server knows a connection once it has accepted it: an answer on a later one shows that.
  await fetch(`http://127.0.0.1:${port}/livez`);
  await server.close();
  await ended;
});

test('an answer that is under way still goes out, and then all others end', async () => {
  let asked = () => {};
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  let answer = () => {};
  const isToAnswer = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const server = new HealthServer(async () => {
    asked();
    await isToAnswer;
    return fine();
  });
  const port = await server.listen(0, '127.0.0.1');
  const silent = await connectedTo(port);
  const ended = ends(silent);
  const answered = fetch(`http://127.0.0.1:${port}/livez`).then((response) => response.status);
  await isAsked;
  const closed = server.close();
  answer();
  expect(await answered).toBe(200);
  await closed;
  await ended;
});

test('metrics that never come do not keep the server open', async () => {
  let asked = () => {};
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const metrics = {
    contentType: 'text/plain',
    text() {
      asked();
      return new Promise<string>(() => {});
    },
  };
  const server = new HealthServer(fine, metrics);
  const port = await server.listen(0, '127.0.0.1');
  const refused = expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow();
  await isAsked;
  await server.close();
  await refused;
});

test('a server that is closed before it listens does not listen', async () => {
  const byAddress = new HealthServer(fine);
  const listening = byAddress.listen(0, undefined);
  await byAddress.close();
  expect(await listening).toBe(0);

  // The name is looked up first.
  const byName = new HealthServer(fine);
  const looking = byName.listen(0, 'localhost');
  await byName.close();
  const port = await looking;
  if (port !== 0) await expect(fetch(`http://localhost:${port}/livez`)).rejects.toThrow();
});

test('is closed a second time with the first', async () => {
  const server = new HealthServer(fine);
  await server.listen(0, '127.0.0.1');
  await Promise.all([server.close(), server.close()]);
});

/** The durable Redis of a campaign. */
import { createConnection } from 'node:net';
import { type RedisServer, startRedis } from '../../../test/support/redis-server.js';
import type { CampaignStore } from '../campaign-store.js';
import { redisReader } from './reader.js';

export interface SingleStore extends CampaignStore {
  readonly kind: 'redis';
  readonly connection: { readonly url: string };
  readonly server: RedisServer;
  readonly port: number;
}

/** Every write is on disk before it is acknowledged. */
export async function startStore(): Promise<SingleStore> {
  const server = await startRedis('redis-server', { durable: true });
  const { port } = new URL(server.url);
  const leave = () => void server.kill();
  process.once('exit', leave);
  return {
    kind: 'redis',
    connection: { url: server.url },
    server,
    port: Number(port),
    ready: () => untilReady(Number(port)),
    reader: () => redisReader({ url: server.url }),
    stop() {
      process.off('exit', leave);
      return server.stop();
    },
  };
}

/** Resolves once a server on the port takes commands: one that loads its file refuses them. */
export async function untilReady(port: number): Promise<void> {
  while (!(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 20));
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => socket.write('PING\r\n'));
    const end = (isReady: boolean) => {
      socket.destroy();
      resolve(isReady);
    };
    socket.once('data', (data) => end(data.toString().startsWith('+PONG')));
    socket.once('error', () => end(false)).setTimeout(1000, () => end(false));
  });
}

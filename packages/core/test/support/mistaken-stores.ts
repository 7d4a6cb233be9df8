/** Stores as they should not be. */
import { createServer as createWebServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { freePort, startRedis } from '../../../../test/support/redis-server.js';

export interface Stores {
  readonly open: string;
  readonly nobody: string;
  /** Wants a password; its user `weak` may not run scripts. */
  readonly locked: string;
  readonly evicting: string;
  /** Ends every connection that does not begin with TLS. */
  readonly hangsUp: string;
  /** Never answers. */
  readonly silent: string;
  readonly web: string;
  stop(): Promise<void>;
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`; // it listens on a port
}

export async function startStores(open: string): Promise<Stores> {
  const user = ['--user', 'weak', 'on', '>weak', '~*', '&*', '+@all', '-eval', '-evalsha'];
  const locked = await startRedis('redis-server', { more: ['--requirepass', 'secret', ...user] });
  const evicting = await startRedis('redis-server', {
    more: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'],
  });
  const servers = [
    createServer((socket) => void socket.on('error', () => {}).once('data', () => socket.resetAndDestroy())),
    createServer((socket) => void socket.on('error', () => {}).on('data', () => {})),
    createWebServer((_, answer) => void answer.end('hello')),
  ] as const;
  const [hangsUp, silent, web] = await Promise.all(servers.map(listening));
  return {
    open,
    nobody: `redis://127.0.0.1:${await freePort()}`,
    locked: locked.url,
    evicting: evicting.url,
    hangsUp: hangsUp ?? '',
    silent: silent ?? '',
    web: web ?? '',
    async stop() {
      for (const server of servers) server.close();
      await Promise.all([locked.stop(), evicting.stop()]);
    },
  };
}

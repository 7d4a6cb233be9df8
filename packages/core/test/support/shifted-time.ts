/** Another time for a whole test: this process and a Redis of its own live in it, and agree on it. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { vi } from 'vitest';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';

/** What Redis tells of its clock, in INFO and as an answer to TIME. A time keeps its number of digits when it is shifted. */
const TOLD = /(server_time_usec:|\*2\r\n\$10\r\n)(\d{16}|\d{10})(?=\r\n)/g;

export class ShiftedTime {
  readonly #redis: RedisServer;
  readonly #sockets = new Set<Socket>();
  readonly #now = Date.now.bind(Date);
  #proxy: Server | undefined;
  #shiftMs = 0;
  /** Times that were told by Redis and shifted. */
  told = 0;

  private constructor(redis: RedisServer) {
    this.#redis = redis;
    vi.spyOn(Date, 'now').mockImplementation(() => this.#now() + this.#shiftMs);
  }

  static async start(): Promise<ShiftedTime> {
    const time = new ShiftedTime(await startRedis());
    await time.#listen();
    return time;
  }

  /** The address at which Redis lives in this time. */
  get url(): string {
    const address = this.#proxy?.address();
    if (typeof address !== 'object' || address === null) throw new Error('the proxy does not listen');
    return `redis://127.0.0.1:${address.port}`;
  }

  /** The address of the same Redis, to look at it without leaving traces in this time. */
  get directUrl(): string {
    return this.#redis.url;
  }

  /** From now on it is this time. */
  set(moment: number): void {
    this.#shiftMs = moment - this.#now();
  }

  async stop(): Promise<void> {
    vi.restoreAllMocks();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => (this.#proxy ? this.#proxy.close(resolve) : resolve(undefined)));
    await this.#redis.stop();
  }

  async #listen(): Promise<void> {
    const port = Number(new URL(this.#redis.url).port);
    const proxy = createServer((client) => {
      const server = createConnection(port, '127.0.0.1');
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket
          .on('error', () => {})
          .on('close', () => {
            this.#sockets.delete(socket);
            client.destroy();
            server.destroy();
          });
      }
      client.pipe(server);
      server.on('data', (data) => client.write(this.#shifted(data)));
    });
    this.#proxy = proxy;
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  }

  #shifted(data: Buffer): Buffer {
    const text = data.toString('latin1');
    const shifted = text.replace(TOLD, (_, before: string, time: string) => {
      this.told += 1;
      const unitsPerMs = time.length === 16 ? 1000 : 1 / 1000;
      return `${before}${Math.round(Number(time) + this.#shiftMs * unitsPerMs)}`;
    });
    return Buffer.from(shifted, 'latin1');
  }
}

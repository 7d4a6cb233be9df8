/** The engines every integration test runs on: the same suite, in memory, on a real Redis, a real PostgreSQL and PGlite. */
import { randomUUID } from 'node:crypto';
import {
  type AddedBy,
  type AnyMiddleware,
  type App,
  type AppOptions,
  type Connection,
  createApp,
} from '@umbel/core';
import { memory } from '@umbel/testing';
import {
  type BackendFactory,
  type ConnectionOptions,
  createRedisBackend,
  Queue,
  type RedisQueueBackend,
  Worker,
  type WorkerOptions,
} from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, describe, inject } from 'vitest';
import { resolveConnection } from '../packages/core/src/store/connection.js';
import { pgliteUrl } from './support/pglite-folder.js';

export { memory };

export interface Engine {
  readonly name: 'memory' | 'redis' | 'postgres' | 'pglite';
  /** Whether the store is PostgreSQL, on a server or in this process. */
  readonly isSql: boolean;
  /** A new app on the engine; closed, and its keys removed, after the test. */
  app<const Stack extends readonly AnyMiddleware[] = readonly []>(
    options?: Partial<AppOptions<Stack>>,
  ): App<AddedBy<Stack>>;
  /** Another app on the store of the last one, as another process would have it. */
  sameApp(options?: Partial<AppOptions>): App;
  /** The `connection` of a new app: a new store in memory, or the server of the run. */
  newConnection(): Connection;
  /** BullMQ's own queue on the store of the last app, as a program without Umbel would use it. */
  bareQueue(name: string): Queue;
  /** BullMQ's own worker of a queue of the last app, which takes jobs by `getNextJob` only. */
  bareWorker(name: string, options?: Pick<WorkerOptions, 'lockDuration'>): Worker;
  /** What BullMQ's own classes connect with to the store of the last app. */
  connection(): { options: ConnectionOptions; factory: BackendFactory<RedisQueueBackend> };
}

/** The engines of this run: those that `UMBEL_ENGINES` lists, such as `memory,redis`, or all. */
const ENGINES = (process.env.UMBEL_ENGINES?.split(',') as Engine['name'][] | undefined) ?? [
  'memory',
  'redis',
];

/** Describes `title` once for each engine of this run, or for those of them that are named. */
export function onEveryEngine(
  title: string,
  suite: (engine: Engine) => void,
  names: readonly Engine['name'][] = ENGINES,
): void {
  const isThere = (name: Engine['name']) => name !== 'postgres' || inject('postgresUrl') !== '';
  const chosen = ENGINES.filter((name) => names.includes(name) && isThere(name));
  if (chosen.length === 0) describe.skip(`${title}: not in UMBEL_ENGINES`, () => suite({} as Engine));
  describe.each(chosen)(`on %s: ${title}`, (name) => {
    const apps: App[] = [];
    const bare: (Queue | Worker)[] = [];
    let last: AppOptions | undefined;
    const open = (options: AppOptions): App => {
      last = options;
      const app = createApp(options);
      apps.push(app);
      return app;
    };
    afterEach(async () => {
      await Promise.all(bare.splice(0).map((each) => each.close()));
      const names = new Set(apps.map((app) => app.name));
      await Promise.all(apps.splice(0).map((app) => app.close()));
      if (name === 'redis') await removeKeys(names);
    });
    suite({
      name,
      isSql: name === 'postgres' || name === 'pglite',
      app: <Stack extends readonly AnyMiddleware[]>(options?: Partial<AppOptions<Stack>>) =>
        open({
          name: `test-${randomUUID()}`,
          connection: connectionTo(name),
          logger: quiet,
          sendTimeout: '50s', // on a busy machine
          ...options,
        }) as unknown as App<AddedBy<Stack>>, // as createApp has typed it
      newConnection: () => connectionTo(name),
      bareQueue: (queueName) => {
        const { options, factory } = connectionOf(last);
        const queue = new Queue(queueName, { connection: options, prefix: `umbel:{${last?.name}}` }, factory);
        bare.push(queue);
        return queue;
      },
      bareWorker: (queueName, more) => {
        const { options, factory } = connectionOf(last);
        const shared = { connection: options, prefix: `umbel:{${last?.name}}`, autorun: false };
        const worker = new Worker(queueName, null, { ...shared, ...more }, factory);
        bare.push(worker);
        return worker;
      },
      connection: () => connectionOf(last),
      sameApp: (options) => {
        if (last === undefined) throw new Error('call app() first');
        return open({ ...last, ...options });
      },
    });
  });
}

function connectionTo(name: Engine['name']): Connection {
  if (name === 'memory') return memory();
  if (name === 'pglite') return pgliteUrl(inject('pgliteFolder'));
  return inject(name === 'redis' ? 'redisUrl' : 'postgresUrl');
}

function connectionOf(app: AppOptions | undefined): ReturnType<Engine['connection']> {
  if (app?.connection === undefined) throw new Error('call app() first');
  if (typeof app.connection === 'function')
    return { options: {}, factory: app.connection as BackendFactory<RedisQueueBackend> };
  if (typeof app.connection === 'string' && app.connection !== inject('redisUrl'))
    return {
      options: {},
      factory: resolveConnection(app.connection).factory as BackendFactory<RedisQueueBackend>,
    };
  return { options: { url: inject('redisUrl') }, factory: createRedisBackend };
}

const quiet = { info() {}, warn() {}, error() {} };

/** One connection for all files of a process: opening one for each test costs more than what it does. */
let cleaner: Redis | undefined;

async function removeKeys(names: ReadonlySet<string>): Promise<void> {
  cleaner ??= new Redis(inject('redisUrl'));
  for (const name of names) {
    for await (const keys of cleaner.scanStream({ match: `umbel:{${name}}:*`, count: 1000 })) {
      if (keys.length > 0) await cleaner.unlink(keys);
    }
  }
}

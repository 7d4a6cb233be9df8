/** The engines every integration test runs on: the same suite, on memory and on a real Redis. */
import { randomUUID } from 'node:crypto';
import { type App, type AppOptions, createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { Redis } from 'ioredis';
import { afterEach, describe, inject } from 'vitest';

export interface Engine {
  readonly name: 'memory' | 'redis';
  /** A new app on the engine; closed, and its keys removed, after the test. */
  app(options?: Partial<AppOptions>): App;
  /** Another app on the store of the last one, as another process would have it. */
  sameApp(options?: Partial<AppOptions>): App;
}

/** Describes `title` once for each engine. */
export function onEveryEngine(title: string, suite: (engine: Engine) => void): void {
  describe.each([['memory'], ['redis']] as const)(`on %s: ${title}`, (name) => {
    const apps: App[] = [];
    let last: AppOptions | undefined;
    const open = (options: AppOptions): App => {
      last = options;
      const app = createApp(options);
      apps.push(app);
      return app;
    };
    afterEach(async () => {
      const names = new Set(apps.map((app) => app.name));
      await Promise.all(apps.splice(0).map((app) => app.close()));
      if (name === 'redis') await removeKeys(names);
    });
    suite({
      name,
      app: (options) =>
        open({
          name: `test-${randomUUID()}`,
          connection: name === 'memory' ? memory() : inject('redisUrl'),
          logger: quiet,
          ...options,
        }),
      sameApp: (options) => {
        if (last === undefined) throw new Error('call app() first');
        return open({ ...last, ...options });
      },
    });
  });
}

const quiet = { info() {}, warn() {}, error() {} };

async function removeKeys(names: ReadonlySet<string>): Promise<void> {
  const redis = new Redis(inject('redisUrl'));
  try {
    for (const name of names) {
      for await (const keys of redis.scanStream({ match: `umbel:{${name}}:*`, count: 1000 })) {
        if (keys.length > 0) await redis.unlink(keys);
      }
    }
  } finally {
    redis.disconnect();
  }
}

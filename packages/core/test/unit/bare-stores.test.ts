/** A store that has BullMQ's contract and nothing beside it does the same, with more commands. */
import { randomUUID } from 'node:crypto';
import { chain, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

const OWN = new Set<string | symbol>(['purgeStart', 'purgeSlice', 'endedJobs', 'removeTrees', 'childKeys']);

function bare(backend: IQueueBackend): IQueueBackend {
  return new Proxy(backend, {
    has: (target, name) => !OWN.has(name) && Reflect.has(target, name),
    get(target, name) {
      if (OWN.has(name)) return undefined;
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const answer: unknown = Reflect.apply(value, target, args);
        return name === 'forQueue' ? bare(answer as IQueueBackend) : answer;
      };
    },
  });
}

function open() {
  const plain = memory();
  const connection = ((...args: Parameters<BackendFactory>) => bare(plain(...args))) as BackendFactory;
  const logger = { info() {}, warn() {}, error() {} };
  const app = createApp({ name: `test-${randomUUID()}`, connection: connection as never, logger });
  onTestFinished(() => app.close());
  return app;
}

test('a store without commands of its own is purged job by job, in the same way', async () => {
  const app = open();
  const mail = app.task({
    name: 'mail',
    queue: 'mail',
    input: z.object({ n: z.number() }),
    run: ({ n }) => n,
  });
  const inputs = Array.from({ length: 200 }, (_, n) => ({ n }));
  await mail.sendMany(inputs);
  const run = await group(inputs.slice(0, 40).map((input) => mail.s(input))).delay();
  await mail.applyAsync({ n: 1 }, { linkError: mail.s({ n: 2 }) });
  await mail.sendMany(inputs, { priority: 2 });
  await mail.applyAsync({ n: 3 }, { countdown: '1h' });

  const told: number[] = [];
  const onProgress = ({ done }: { done: number }) => told.push(done);
  expect(await app.queue('mail').purge({ delayed: true, onProgress })).toEqual({
    removed: 402,
    revokedRuns: 1,
  });
  expect(told.at(-1)).toBe(442);
  expect(await app.queue('mail').counts()).toMatchObject({ waiting: 40, delayed: 0 });
  await app.worker().start();
  expect(await run.outcome({ timeout: '10s' })).toMatchObject({ ok: false, error: { state: 'revoked' } });
});

test('a run is forgotten there too, with what still waits of it', async () => {
  const app = open();
  const add = app.task({ name: 'add', input: z.number(), run: (n) => n + 1 });
  const unserved = app.task({ name: 'unserved', queue: 'unserved', input: z.number(), run: (n) => n });
  const broken = app.task({
    name: 'broken',
    input: z.number(),
    run: () => {
      throw new Error('broken');
    },
  });
  await app.worker({ queues: ['default'] }).start();
  const long = await chain.of(Array.from({ length: 300 }, () => add)).delay(0);
  const failed = await group([broken, unserved, chain(unserved, unserved)]).delay(1);
  expect(await long.get({ timeout: '10s' })).toBe(300);
  await expect(failed.get({ timeout: '10s' })).rejects.toThrow('broken');
  for (const run of [long, failed]) await run.forget();
  const none = { waiting: 0, active: 0, completed: 0, failed: 0, 'waiting-children': 0 };
  for (const queue of ['default', 'unserved']) expect(await app.queue(queue).counts()).toMatchObject(none);
});

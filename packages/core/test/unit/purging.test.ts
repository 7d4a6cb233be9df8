/** Queues of a store that has BullMQ's contract and nothing beside it are emptied too. */
import { randomUUID } from 'node:crypto';
import { group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

const OWN = new Set<string | symbol>(['purgeStart', 'purgeSlice']);

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

test('a store without commands of its own is purged job by job, in the same way', async () => {
  const plain = memory();
  const connection = ((...args: Parameters<BackendFactory>) => bare(plain(...args))) as BackendFactory;
  const logger = { info() {}, warn() {}, error() {} };
  const app = createApp({ name: `test-${randomUUID()}`, connection: connection as never, logger });
  onTestFinished(() => app.close());
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

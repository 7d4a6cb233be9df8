import type { ForeignJob } from '@umbel/core';
import { Worker } from 'bullmq';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

onEveryEngine('a queue shared with another program', (engine) => {
  test('leaves its jobs to it, uncharged, and tells once', async () => {
    const warnings: string[] = [];
    const app = engine.app({ logger: { info() {}, warn: (message) => warnings.push(message), error() {} } });
    const task = app.task({ name: 'task', run: async () => 'ours' });
    const queue = engine.bareQueue('default');
    const foreign = await queue.addBulk([
      { name: 'theirs', data: { x: 1 }, opts: { attempts: 2 } },
      { name: 'task', data: [1] },
    ]);
    await app.worker({ concurrency: 1 }).start();
    expect(await (await task.delay()).get(soon)).toBe('ours');
    for (const { id = '' } of foreign) {
      expect(await queue.getJobState(id)).toBe('delayed');
      expect(await queue.getJob(id)).toMatchObject({ attemptsMade: 0, data: expect.anything() });
    }
    const others = warnings.filter((text) => !/append-only file|does not wait for its disk/.test(text));
    expect(others).toEqual([expect.stringContaining('holds jobs of another program (such as "theirs")')]);
  });

  test('hands them to a fallback, by their own options', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: async () => 'ours' });
    const queue = engine.bareQueue('default');
    const seen: string[] = [];
    const fallback = async (job: ForeignJob) => {
      seen.push(`${job.name} ${JSON.stringify(job.data)} ${job.attemptsMade}`);
      if (job.attemptsMade === 0) throw new Error('at first');
      return 'theirs';
    };
    const { id = '' } = await queue.add('old', { x: 1 }, { attempts: 2 });
    await app.worker({ onForeignJob: fallback }).start();
    await vi.waitFor(async () => expect(await queue.getJobState(id)).toBe('completed'));
    expect((await queue.getJob(id))?.returnvalue).toBe('theirs');
    expect(seen).toEqual(['old {"x":1} 0', 'old {"x":1} 1']);
  });

  test.each<[string, unknown, string]>([
    ['undefined', undefined, 'a value was thrown: undefined'],
    ['null', null, 'a value was thrown: null'],
    ['a text', 'no such user', 'no such user'],
    ['a number', 404, 'a value was thrown: 404'],
    ['an object', { status: 503 }, 'a value was thrown: {"status":503}'],
  ])('fails a job whose fallback throws %s, with that as its reason', async (_, thrown, reason) => {
    const app = engine.app();
    app.task({ name: 'task', run: async () => 'ours' });
    const queue = engine.bareQueue('default');
    let runs = 0;
    const { id = '' } = await queue.add('old', {}, { attempts: 2 });
    const fallback = (): never => {
      runs += 1;
      throw thrown;
    };
    await app.worker({ fallback }).start();
    await vi.waitFor(async () => expect(await queue.getJobState(id)).toBe('failed'), { timeout: 10_000 });
    expect(await queue.getJob(id)).toMatchObject({ failedReason: reason, attemptsMade: 2 });
    expect(runs).toBe(2);
  });

  test('lets a plain BullMQ worker read and serve Umbel’s jobs', async () => {
    const app = engine.app();
    const connection = engine.connection();
    const task = app.task({
      name: 'task',
      input: z.object({ x: z.number() }),
      retry: { attempts: 3, delay: 1, jitter: false },
      run: async () => 0,
    });
    const result = await task.applyAsync({ x: 20 }, { headers: { tenant: 'acme' } });
    const seen: unknown[] = [];
    const worker = new Worker(
      'default',
      async (job) => {
        seen.push([job.name, job.data.input, job.data.headers, job.attemptsMade]);
        if (job.attemptsMade === 0) throw new Error('once');
        return job.data.input.x + 1;
      },
      { connection: connection.options, prefix: `umbel:{${app.name}}` },
      connection.factory,
    );
    expect(await result.get(soon)).toBe(21);
    expect(seen).toEqual([
      ['task', { x: 20 }, { tenant: 'acme' }, 0],
      ['task', { x: 20 }, { tenant: 'acme' }, 1],
    ]);
    await worker.close();
  });
});

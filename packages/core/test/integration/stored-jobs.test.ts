import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

onEveryEngine('a stored job', (engine) => {
  test('is plain, versioned JSON under the task’s name', async () => {
    const app = engine.app();
    const add = app.task({
      name: 'add',
      input: z.object({ x: z.number(), y: z.number().default(1) }),
      retry: { attempts: 3, delay: '2s' },
      run: async ({ x, y }) => x + y,
    });
    const { id } = await add.delay({ x: 1 });
    const job = await engine.bareQueue('default').getJob(id);
    expect(job?.name).toBe('add');
    expect(job?.data).toEqual({ umbel: 1, input: { x: 1, y: 1 } }); // with the default
    expect(job?.opts).toMatchObject({
      attempts: 3,
      backoff: { type: 'exponential', delay: 2000, jitter: 1 },
    });
  });

  test('keeps why it failed, in words and in full', async () => {
    const app = engine.app();
    const send = app.task({
      name: 'send',
      input: z.string(),
      run: async () => {
        throw new TypeError('no address');
      },
    });
    await app.worker().start();
    const result = await send.delay('hello');
    await result.get({ timeout: '50s' }).catch(() => undefined);
    const job = await engine.bareQueue('default').getJob(result.id);
    expect(job?.failedReason).toBe('no address');
    expect(job?.data).toMatchObject({
      umbel: 1,
      input: 'hello',
      failure: { task: 'send', jobId: result.id, error: { name: 'TypeError', message: 'no address' } },
    });
  });

  test('of a newer version fails clearly, keeps its data and does not stop the worker', async () => {
    const app = engine.app();
    const handler = vi.fn(async () => 'ran');
    const task = app.task({
      name: 'add',
      input: z.object({ x: z.number() }),
      retry: { attempts: 3 },
      run: handler,
    });
    const queue = engine.bareQueue('default');
    const data = { umbel: 99, input: { x: 1 } };
    const newer = await queue.add('add', data, { attempts: 5 });
    await app.worker({ concurrency: 1 }).start();
    const own = await task.delay({ x: 1 });
    expect(await own.get({ timeout: '50s' })).toBe('ran');
    expect(handler).toHaveBeenCalledTimes(1);
    const job = await queue.getJob(newer.id ?? '');
    expect(job?.failedReason).toContain('has version 99, this worker reads version 1');
    expect(job?.data).toEqual(data);
    expect(job?.attemptsMade).toBe(1);
  });

  test('with a field that this release does not know runs, and keeps it', async () => {
    const app = engine.app();
    app.task({ name: 'add', input: z.object({ x: z.number() }), run: async ({ x }) => x + 1 });
    const queue = engine.bareQueue('default');
    const data = { umbel: 1, input: { x: 1 }, later: { any: ['thing'] } };
    const job = await queue.add('add', data);
    await app.worker().start();
    expect(await app.result(job.id ?? '').get({ timeout: '50s' })).toBe(2);
    expect((await queue.getJob(job.id ?? ''))?.data).toEqual(data);
  });

  test('with planted keys gives its handler the validated value only', async () => {
    const app = engine.app();
    const seen: unknown[] = [];
    app.task({
      name: 'keep',
      input: z.object({ a: z.number() }),
      run: async (input) => {
        seen.push(Object.getPrototypeOf(input) === Object.prototype, Object.keys(input), input);
      },
    });
    const data: unknown = JSON.parse(
      '{"umbel":1,"input":{"a":1,"__proto__":{"admin":true},"constructor":1}}',
    );
    const queue = engine.bareQueue('default');
    await queue.add('keep', data, { jobId: 'planted' });
    const worker = await app.worker().start();
    await vi.waitFor(async () => expect(await queue.getJobState('planted')).toBe('completed'));
    await worker.close();
    expect(seen).toEqual([true, ['a'], { a: 1 }]);
  });
});

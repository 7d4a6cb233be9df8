/** What BullMQ's own classes, and tools that use them, do to runs: the table of docs/from-bullmq.md. */
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { chain, group, sleep } from '@umbel/canvas';
import { type Job, Worker } from 'bullmq';
import { expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

/** Three tasks that add one, of which `second` fails until it is repaired. */
function shopOf(engine: Engine) {
  const warnings: string[] = [];
  const logger = { info() {}, warn: (text: string) => void warnings.push(text), error() {} };
  const app = engine.app({ logger });
  const ran: string[] = [];
  let isBroken = true;
  const addOne = (name: string) =>
    app.task({
      name,
      input: z.number(),
      retry: { attempts: 2, delay: 1 },
      run: async (n) => {
        ran.push(`${name} ${n}`);
        if (name === 'second' && isBroken) throw new Error('broken');
        return n + 1;
      },
    });
  const [first, second, third] = [addOne('first'), addOne('second'), addOne('third')];
  const repair = () => {
    isBroken = false;
    ran.length = 0;
  };

  /** A job, as a button of bull-board finds it. */
  const find = async (id: string, queue = 'default'): Promise<Job> => {
    const job = await new BullMQAdapter(engine.bareQueue(queue) as never).getJob(id);
    if (job == null) throw new Error(`no job ${id}`);
    return job as never;
  };
  /** Retries a failed job that will fail again, and resolves when it has. */
  const retried = async (job: Job) => {
    const before = job.finishedOn ?? 0;
    await job.retry('failed');
    await vi.waitFor(async () =>
      expect((await find(job.id ?? '', job.queueName)).finishedOn).toBeGreaterThan(before),
    );
  };
  const reach = (id: string, state: string) =>
    vi.waitFor(async () => expect(await app.result(id).state()).toBe(state));
  const work = () => app.worker().start();
  return { app, ran, warnings, first, second, third, repair, find, retried, reach, work };
}

onEveryEngine('bull-board', (engine) => {
  test('retries a failed call: it runs once more under its id, without further retries', async () => {
    const { second, ran, repair, find, work, retried, reach } = shopOf(engine);
    await work();
    const call = await second.delay(1);
    expect((await call.outcome(soon)).ok).toBe(false);
    expect(ran.splice(0)).toEqual(['second 1', 'second 1']);
    await retried(await find(call.id));
    expect(ran).toEqual(['second 1']);
    repair();
    await (await find(call.id)).retry('failed');
    await reach(call.id, 'completed');
    expect(await call.get(soon)).toBe(2);
    expect(ran).toEqual(['second 1']);
  });

  test('retries a failed step: the run stays failed until it is resumed, which keeps the new result', async () => {
    const { first, second, third, ran, repair, find, work, reach } = shopOf(engine);
    await work();
    const run = await chain(first, second, third).delay(1);
    await run.outcome(soon);
    repair();
    await (await find(`${run.id}.0-1`)).retry('failed');
    await reach(`${run.id}.0-1`, 'completed');
    await expect(run.get(soon)).rejects.toMatchObject({ jobId: `${run.id}.0-1` });
    expect(ran).toEqual(['second 2']);

    await run.resume();
    expect(await run.get(soon)).toBe(4);
    expect(ran).toEqual(['second 2', 'third 3']);
  });

  test('retries a run or a step that only waited: it fails again, for the same reason', async () => {
    const { app, first, second, third, repair, find, work, retried } = shopOf(engine);
    await work();
    const run = await chain(first, second, third).delay(1);
    await run.outcome(soon);
    repair();
    for (const [id, queue] of [
      [`${run.id}.0`, 'default'],
      [run.id, 'umbel'],
    ] as const) {
      await retried(await find(id, queue));
      const outcome = await app.result(id).outcome(soon);
      expect(outcome).toMatchObject({ ok: false, error: { jobId: `${run.id}.0-1` } });
    }
  });

  test('retries a completed step: its handler runs again, and the run keeps its result', async () => {
    const { first, second, third, ran, repair, find, work } = shopOf(engine);
    repair();
    await work();
    const run = await chain(first, second, third).delay(1);
    expect(await run.get(soon)).toBe(4);
    await (await find(`${run.id}.0-1`)).retry('completed');
    await vi.waitFor(() => expect(ran).toEqual(['first 1', 'second 2', 'third 3', 'second 2']));
    expect(await run.get(soon)).toBe(4);
  });

  test('promotes a delayed call and a delayed step: they start at once', async () => {
    const { first, third, find, work, reach } = shopOf(engine);
    await work();
    const call = await first.applyAsync(1, { countdown: '1h' });
    await (await find(call.id)).promote();
    expect(await call.get(soon)).toBe(2);

    const run = await chain(first, third.set({ countdown: '1h' }), third).delay(1);
    await reach(`${run.id}.0-1`, 'delayed');
    await (await find(`${run.id}.0-1`)).promote();
    expect(await run.get(soon)).toBe(4);
  });

  test('promotes a sleep: it goes on until its moment', async () => {
    const { first, third, ran, find, work, reach } = shopOf(engine);
    await work();
    const run = await chain(first, sleep('1h'), third).delay(1);
    await reach(`${run.id}.0-1`, 'delayed');
    await (await find(`${run.id}.0-1`, 'umbel')).promote();
    await reach(`${run.id}.0-1`, 'delayed');
    expect(ran).toEqual(['first 1']);
    await run.wake();
    expect(await run.get(soon)).toBe(3);
  });

  test('removes a waiting step or member: the run fails, and names what is missing', async () => {
    const { first, third, find, work } = shopOf(engine);
    const steps = await chain(first, third, third).delay(1);
    const members = await group([first.si(1), first.si(2)]).delay();
    const waits = await chain(first, third, third).delay(1);
    const removed = [`${steps.id}.0-0`, `${members.id}.0.1`, `${waits.id}.0-1`];
    for (const id of removed) await (await find(id)).remove();
    await work();
    for (const [index, run] of [steps, members, waits].entries())
      await expect(run.get(soon)).rejects.toMatchObject({
        jobId: removed[index],
        cause: { name: 'LostJobError' },
      });
  });

  test('removes a run: its waiting jobs go too, and it is unknown', async () => {
    const { app, first, third, find } = shopOf(engine);
    const run = await chain(first, third).delay(1);
    await (await find(run.id, 'umbel')).remove();
    await expect(run.get(soon)).rejects.toMatchObject({ code: 'UNKNOWN_JOB' });
    expect((await app.jobs.list()).items).toEqual([]);
  });

  test('empties a queue: runs of which a step waited there fail', async () => {
    const { first, third, work } = shopOf(engine);
    const runs = [await chain(first, third).delay(1), await chain(first, third, first, third).delay(1)];
    await new BullMQAdapter(engine.bareQueue('default') as never).empty();
    await work();
    for (const run of runs)
      await expect(run.get(soon)).rejects.toMatchObject({ cause: { name: 'LostJobError' } });
  });

  test('edits the data of a job: its input is checked when it starts', async () => {
    const { first, find, work } = shopOf(engine);
    const call = await first.delay(1);
    await (await find(call.id)).updateData({ umbel: 1, input: 'one' });
    await work();
    await expect(call.get(soon)).rejects.toMatchObject({ cause: { code: 'VALIDATION' } });
  });
});

onEveryEngine('a plain worker of BullMQ', (engine) => {
  const serve = (run: (job: Job) => Promise<unknown>) => {
    const { options, factory } = engine.connection();
    const prefix = engine.bareQueue('default').opts.prefix ?? '';
    const worker = new Worker('default', run, { connection: options, prefix }, factory);
    onTestFinished(() => worker.close());
    return worker;
  };

  test('runs calls: their input is `data.input`, and `get()` has its result or its error', async () => {
    const { first } = shopOf(engine);
    serve(async ({ data }) => {
      if (data.input < 0) throw new RangeError('below zero');
      return data.input * 10;
    });
    expect(await (await first.delay(3)).get(soon)).toBe(30);
    await expect((await first.delay(-1)).get(soon)).rejects.toMatchObject({
      state: 'failed',
      cause: { message: 'below zero' },
    });
  });

  test('runs steps without the results of earlier ones, and what it returns counts as the result', async () => {
    const { first, second, third, repair, work } = shopOf(engine);
    const inputs: unknown[] = [];
    const plain = serve(async ({ data }) => {
      inputs.push(data.input ?? 'nothing');
      return 0;
    });
    const run = await chain(first, third).delay(1);
    await vi.waitFor(() => expect(inputs).toEqual([1, 'nothing']));
    await plain.close();
    const { name } = await work();
    expect(await run.get(soon)).toBe(0);
    repair();
    await (await chain(first, second).delay(1)).get(soon);
    const completed = await engine.bareQueue('default').getJobs(['completed']);
    const workers = completed.map((job) => [job.name, job.processedBy]);
    expect(workers.sort()).toEqual([
      ['first', undefined],
      ['first', name],
      ['second', name],
      ['third', undefined],
    ]);
  });
});

onEveryEngine('a job scheduler of BullMQ in a queue of an app', (engine) => {
  const every = { every: 3_600_000 };

  test('its jobs go to `onForeignJob`, and without it stay in the queue, which a warning says', async () => {
    const { app, warnings } = shopOf(engine);
    const queue = engine.bareQueue('default');
    await queue.upsertJobScheduler('hourly', every, { name: 'tick', data: { n: 1 } });
    const careless = await app.worker().start();
    await vi.waitFor(() => expect(warnings).toContainEqual(expect.stringContaining('onForeignJob')));
    await careless.close();
    expect(await queue.getJobSchedulersCount()).toBe(1);

    const seen: unknown[] = [];
    const [job] = await queue.getJobs(['waiting', 'delayed']);
    await app.worker({ onForeignJob: async ({ name, data }) => void seen.push([name, data]) }).start();
    if (await job?.isDelayed()) await job?.promote();
    await vi.waitFor(() => expect(seen).toEqual([['tick', { n: 1 }]]));
    await vi.waitFor(async () => expect(await queue.getDelayedCount()).toBe(1)); // the next occurrence
  });

  test('its jobs are calls of a task if they have the name and the envelope of one', async () => {
    const { first, ran, work } = shopOf(engine);
    void first;
    const queue = engine.bareQueue('default');
    await queue.upsertJobScheduler('hourly', every, { name: 'first', data: { umbel: 1, input: 5 } });
    const [job] = await queue.getJobs(['waiting', 'delayed']);
    if (await job?.isDelayed()) await job?.promote();
    await work();
    await vi.waitFor(() => expect(ran).toEqual(['first 5']));
  });
});

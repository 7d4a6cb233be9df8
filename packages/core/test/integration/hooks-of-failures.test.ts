/** Hooks of jobs that fail before their handler is called: each failure is told once, with what is known of the job. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { chain, group, map } from '@umbel/canvas';
import { type App, type Hooks, isUmbelError, type TaskContext } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { MAX_LOST_STARTS } from '../../src/worker/poison.js';
import { onRedis, plantJobs } from '../support/planting.js';

const soon = { timeout: '50s' } as const;

interface Call {
  readonly hook: string;
  readonly ctx: TaskContext;
  readonly code?: unknown;
}

/** An app whose hooks note their calls, and a task whose handler is not to be called. */
function observed(engine: Engine) {
  const calls: Call[] = [];
  const noting = (owner: string): Hooks => ({
    before: (ctx) => void calls.push({ hook: `${owner} before`, ctx }),
    success: (ctx) => void calls.push({ hook: `${owner} success`, ctx }),
    retry: (ctx, error) => void calls.push({ hook: `${owner} retry`, ctx, code: codeOf(error) }),
    failure: (ctx, error) => void calls.push({ hook: `${owner} failure`, ctx, code: codeOf(error) }),
    always: (ctx) => void calls.push({ hook: `${owner} always`, ctx }),
  });
  const errors: string[] = [];
  const logger = { info() {}, warn() {}, error: (message: string) => errors.push(message) };
  const app = engine.app({ hooks: noting('app'), logger });
  const ran: string[] = [];
  const task = app.task({
    name: 'task',
    input: z.object({ n: z.number(), pin: z.string().optional() }),
    sensitive: ['pin'],
    hooks: noting('task'),
    run: async ({ n }) => {
      ran.push(`${n}`);
      return n;
    },
  });
  /** The calls for one job, without the contexts. */
  const of = (id: string) =>
    calls.filter(({ ctx }) => ctx.id === id).map(({ hook, code }) => (code ? `${hook} ${code}` : hook));
  const contextOf = (id: string) => calls.find(({ ctx }) => ctx.id === id)?.ctx;
  return { app, task, calls, ran, errors, of, contextOf };
}

function codeOf(error: Error): unknown {
  return isUmbelError(error) ? error.code : error.message;
}

/** Failure and end, of the app and of the task. */
const BOTH = (code: string) => [`app failure ${code}`, `task failure ${code}`, 'app always', 'task always'];
const APP_ONLY = (code: string) => [`app failure ${code}`, 'app always'];

async function failedIn(app: App, count: number): Promise<void> {
  await vi.waitFor(async () => expect((await app.queue('default').counts()).failed).toBe(count), {
    timeout: 10_000,
    interval: 10,
  });
}

onEveryEngine('hooks of a job that fails before its handler is called', (engine) => {
  test('are called once if its input is refused, with what was sent along, masked', async () => {
    const { app, ran, of, contextOf } = observed(engine);
    const sender = engine.sameApp({ hooks: {} });
    const options = { headers: { tenant: 'acme' }, tags: ['a'] };
    const { id } = await sender.send('task', { n: 'one', pin: 'hunter22' }, options);
    await app.worker().start();
    await app.result(id).outcome(soon);
    expect(of(id)).toEqual(BOTH('VALIDATION'));
    expect(contextOf(id)).toMatchObject({
      name: 'task',
      queue: 'default',
      attempt: 1,
      headers: { tenant: 'acme' },
      tags: ['a'],
    });
    expect(ran).toEqual([]);
  });

  test('may log, and read the time', async () => {
    const app = engine.app({
      sensitive: ['pin'],
      hooks: { failure: (ctx, error) => ctx.log.error(`at ${ctx.now() > 0}, hunter22`, error.name) },
    });
    app.task({ name: 'task', input: z.object({ n: z.number() }), run: async () => 1 });
    const { id } = await engine.sameApp({ hooks: {} }).send('task', { n: 'one', pin: 'hunter22' });
    await app.worker().start();
    await app.result(id).outcome(soon);
    expect(await app.result(id).logs()).toEqual([
      expect.stringMatching(/error at true, \*\*\* "ValidationError"$/),
    ]);
  });

  test('are called for a failure of its schema, also when another attempt follows', async () => {
    const { app, of } = observed(engine);
    let checks = 0;
    const validate = async (value: unknown) => {
      checks += 1;
      if (checks === 1) throw new Error('no database');
      return { value: value as number };
    };
    const input: StandardSchemaV1<number, number> = {
      '~standard': { version: 1, vendor: 'test', validate },
    };
    const checked = app.task({
      name: 'checked',
      input,
      retry: { attempts: 2, delay: 1 },
      run: async (n) => n,
    });
    const sender = engine.sameApp({ hooks: {} });
    const { id } = await sender.send(checked.name, 1);
    await app.worker().start();
    expect(await app.result(id).get(soon)).toBe(1);
    expect(of(id)).toEqual([
      'app retry no database',
      'app always',
      'app before',
      'app success',
      'app always',
    ]);
  });

  test('of the app are called if no handler is known, and if it has expired or was revoked also the task’s', async () => {
    const { app, task, ran, of, contextOf } = observed(engine);
    const unknown = await app.send('nobody', 1, { headers: { a: 'b' } });
    const expired = await task.applyAsync({ n: 1 }, { expires: '1ms' });
    const revoked = await task.delay({ n: 2 });
    await revoked.revoke();
    const sentAt = Date.now();
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(sentAt + 5));
    await app.worker().start();
    for (const result of [unknown, expired, revoked]) await result.outcome(soon);
    expect(of(unknown.id)).toEqual(APP_ONLY('UNKNOWN_TASK'));
    expect(contextOf(unknown.id)).toMatchObject({ name: 'nobody', headers: { a: 'b' } });
    expect(of(expired.id)).toEqual(BOTH('EXPIRED'));
    expect(of(revoked.id)).toEqual(BOTH('REVOKED'));
    expect(ran).toEqual([]);
  });

  test('are called if it cannot be read, with what can be read of it', async () => {
    const { app, of, contextOf } = observed(engine);
    const [version = '', field = ''] = await plantJobs(engine.bareQueue('default'), 'task', [
      { umbel: 99, headers: { tenant: 'acme' } },
      { umbel: 1, tags: 7, headers: { tenant: 'acme' } },
    ]);
    await app.worker().start();
    await failedIn(app, 2);
    for (const id of [version, field]) {
      expect(of(id)).toEqual(BOTH('CORRUPT_JOB'));
      expect(contextOf(id)).toMatchObject({ name: 'task', headers: { tenant: 'acme' }, tags: [] });
    }
  });

  test('are called once in a run: for the step that failed, and for none that follows or is not needed', async () => {
    const { app, task, calls, of } = observed(engine);
    const fails = app.task({
      name: 'fails',
      run: async (): Promise<{ n: number }> => {
        throw new Error('no');
      },
    });
    const after = app.task({ name: 'after', input: z.unknown(), run: async () => 1 });
    const worker = app.worker();
    await worker.start();
    const result = await chain(fails.s(), task, after).delay();
    await result.outcome(soon);
    expect(calls.filter(({ hook }) => hook === 'app failure')).toHaveLength(1);
    await worker.close();
    calls.length = 0;
    const expiring = await chain(group([task.s({ n: 1 }).set({ expires: 1 })]), after).delay();
    const sentAt = Date.now();
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(sentAt + 5));
    await app.worker().start();
    await expect(expiring.get(soon)).rejects.toThrow();
    expect(calls.filter(({ hook }) => hook.endsWith('failure')).map(({ ctx }) => ctx.name)).toEqual([
      'task',
      'task',
    ]);
    expect(of(expiring.id)).toEqual([]);
  });

  test('are called for a member whose input is refused, under the name of its task', async () => {
    const { app, task, calls } = observed(engine);
    const list = app.task({ name: 'list', run: async () => [{ n: 'one' }] as unknown as { n: number }[] });
    await app.worker().start();
    await (await chain(list.s(), map(task)).delay()).outcome(soon);
    const failures = calls.filter(({ hook }) => hook.endsWith('failure'));
    expect(failures.map(({ hook, ctx, code }) => [hook, ctx.name, code])).toEqual([
      ['app failure', 'task', 'VALIDATION'],
      ['task failure', 'task', 'VALIDATION'],
    ]);
  });

  test('that throw are told to the logger, and the job keeps its failure', async () => {
    const errors: string[] = [];
    const app = engine.app({
      logger: { info() {}, warn() {}, error: (message) => errors.push(message) },
      hooks: {
        failure: () => {
          throw new Error('oops');
        },
      },
    });
    app.task({ name: 'task', run: async () => 1 });
    const result = await app.send('nobody');
    await app.worker().start();
    expect(await result.outcome(soon)).toMatchObject({
      ok: false,
      error: { cause: { code: 'UNKNOWN_TASK' } },
    });
    expect(errors).toEqual([expect.stringContaining('a hook of task "nobody" threw: oops')]);
  });

  test.runIf(engine.name === 'redis')('are called if it is poison', async () => {
    const { app, task, ran, of } = observed(engine);
    const { id } = await task.delay({ n: 1 });
    const job = await engine.bareQueue('default').getJob(id);
    const now = Date.now();
    const losses = Array.from({ length: MAX_LOST_STARTS }, (_, start) => ({ at: now, start, alone: true }));
    await job?.updateData({ ...job.data, lost: { at: losses.map(({ at }) => at), losses } });
    await onRedis((redis) => redis.hset(`umbel:{${app.name}}:default:${id}`, { stc: 3 }));
    await app.worker().start();
    await app.result(id).outcome(soon);
    expect(of(id)).toEqual(BOTH('POISON_JOB'));
    expect(ran).toEqual([]);
  });

  test.runIf(engine.name === 'redis').each(['data', 'opts', 'progress', 'parent'])(
    'are called if what the store holds of it is no JSON: %s',
    async (field) => {
      const { app, task, of, contextOf, errors } = observed(engine);
      const { id } = await task.delay({ n: 1 });
      await onRedis((redis) => redis.hset(`umbel:{${app.name}}:default:${id}`, field, '{"not json'));
      await app.worker().start();
      await failedIn(app, 1);
      const isNamed = field === 'data';
      await vi.waitFor(() => expect(of(id)).toEqual(isNamed ? BOTH('CORRUPT_JOB') : APP_ONLY('CORRUPT_JOB')));
      expect(contextOf(id)).toMatchObject({ id, name: isNamed ? 'task' : 'unknown', queue: 'default' });
      expect(errors).toEqual([]);
    },
  );
});

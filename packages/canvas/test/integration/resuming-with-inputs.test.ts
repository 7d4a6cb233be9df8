/** Steps that failed with bad data run again with another input, which is checked before anything is changed. */
import { randomBytes } from 'node:crypto';
import { chain, chunks, fallback, group, map } from '@umbel/canvas';
import { encryption, InvalidOptionError, JobStateError, TaskFailedError, ValidationError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

/** The error that ends a run, or a call. */
async function failureOf(result: { get(options: typeof soon): Promise<unknown> }): Promise<TaskFailedError> {
  const thrown = await result.get(soon).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(TaskFailedError);
  return thrown as TaskFailedError;
}

/** Tasks of which one fails for a bad address, and what ran. */
async function start(engine: Engine, options: Parameters<Engine['app']>[0] = {}) {
  const app = engine.app({ queues: ['mails'], ...options });
  const ran: unknown[] = [];
  const find = app.task({
    name: 'find',
    input: z.object({ user: z.string() }),
    run: async ({ user }) => {
      ran.push(`find ${user}`);
      return { to: user };
    },
  });
  const mail = app.task({
    name: 'mail',
    queue: 'mails',
    input: z.object({ to: z.string(), text: z.string().default('hello') }),
    sensitive: ['to'],
    run: async ({ to, text }) => {
      ran.push(`mail ${to}`);
      if (!to.includes('@')) throw new Error('no address');
      return `${text} ${to}`;
    },
  });
  const log = app.task({
    name: 'log',
    input: z.unknown(),
    run: async (value) => value,
  });
  await app.worker().start();
  return { app, ran, find, mail, log };
}

onEveryEngine('resume with inputs', (engine) => {
  test('runs a step with another input, by its id or its path, and then what follows', async () => {
    const { ran, find, mail, log } = await start(engine);
    for (const isPath of [true, false]) {
      ran.length = 0;
      const run = await chain(find, mail.s({ text: 'hi' }), log).delay({ user: 'ada' });
      const failed = await failureOf(run);
      const step = isPath ? failed.jobId.slice(run.id.length + 1) : failed.jobId;
      expect(await run.resume({ inputs: { [step]: { to: 'ada@example.com' } } })).toBeGreaterThan(1);
      expect(await run.get(soon)).toBe('hello ada@example.com'); // the whole input: nothing bound is left
      expect(ran).toEqual(['find ada', 'mail ada', 'mail ada@example.com']);
    }
  });

  test('repairs several steps at once: members of a group, and those of a map', async () => {
    const { mail } = await start(engine);
    const run = await group([mail.s({ to: 'a@x' }), mail.s({ to: 'b' }), mail.s({ to: 'c' })]).delay();
    await run.get(soon).catch(() => {});
    const failed = (await run.graph()).nodes.filter(({ state }) => state === 'failed');
    const inputs = Object.fromEntries(failed.map(({ id }, at) => [id, { to: `${at}@x` }]));
    expect(Object.keys(inputs)).toHaveLength(2);
    await run.resume({ inputs });
    expect(await run.get(soon)).toEqual(['hello a@x', 'hello 0@x', 'hello 1@x']);

    const mapped = await map(mail, [{ to: 'a@x' }, { to: 'b' }]).delay();
    const { jobId } = await failureOf(mapped);
    await mapped.resume({ inputs: { [jobId]: { to: 'b@x' } } });
    expect(await mapped.get(soon)).toEqual(['hello a@x', 'hello b@x']);
  });

  test('repairs a step whose input its schema has refused, and one that did not run for it', async () => {
    const { app, mail, log } = await start(engine);
    const bad = app.task({ name: 'bad', run: async () => ({ to: 7 }) as unknown as { to: string } });
    const run = await chain(bad.s(), mail, log).delay();
    const { jobId, cause } = await failureOf(run);
    expect(cause).toBeInstanceOf(ValidationError);
    const both = { [jobId]: { to: 'a@x' }, [run.id]: 'mine' };
    await expect(run.resume({ inputs: both })).rejects.toThrow('is an internal job of Umbel');
    await run.resume({ inputs: { [jobId]: { to: 'a@x' } } });
    expect(await run.get(soon)).toBe('hello a@x');
  });

  test('works for a call on its own, and for one with callbacks', async () => {
    const { mail, log } = await start(engine);
    const plain = await mail.delay({ to: 'b' });
    await plain.get(soon).catch(() => {});
    expect(await plain.resume({ inputs: { [plain.id]: { to: 'b@x' } } })).toBe(1);
    expect(await plain.get(soon)).toBe('hello b@x');
    const linked = await mail.applyAsync({ to: 'c' }, { link: log.s() });
    await linked.get(soon).catch(() => {});
    await linked.resume({ inputs: { [linked.id]: { to: 'c@x' } } });
    expect(await linked.get(soon)).toBe('hello c@x');
  });

  test('stores it encoded, as every input', async () => {
    const key = randomBytes(32);
    const { find, mail } = await start(engine, { codecs: [encryption({ keys: { a: key }, current: 'a' })] });
    const run = await chain(find, mail).delay({ user: 'ada' });
    const { jobId } = await failureOf(run);
    await run.resume({ inputs: { [jobId]: { to: 'ada@x' } } });
    expect(await run.get(soon)).toBe('hello ada@x');
    const job = await engine.bareQueue('mails').getJob(jobId);
    expect(JSON.stringify(job?.data)).not.toContain('ada@x');
  });

  test('refuses what does not fit before anything is changed, and names the step and the path', async () => {
    const { ran, find, mail, log } = await start(engine);
    const run = await chain(find, mail, log).delay({ user: 'ada' });
    const { jobId } = await failureOf(run);
    const path = jobId.slice(run.id.length + 1);
    const error = await run.resume({ inputs: { [path]: { to: 7 } } }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ task: 'mail', issues: [{ path: `inputs['${path}'].to` }] });
    expect(await run.state()).toBe('failed');
    expect(ran).toEqual(['find ada', 'mail ada']);
    await run.resume(); // with what it had
    await expect(run.get(soon)).rejects.toThrow('no address');
  });

  test('refuses steps that are unknown, have succeeded, do not run again, or whose task is not known here', async () => {
    const { app, find, mail, log } = await start(engine);
    const run = await chain(find, mail, log).delay({ user: 'ada' });
    const { jobId } = await failureOf(run);
    const [succeeded] = (await run.graph()).nodes.filter(({ state }) => state === 'completed');
    const input = { to: 'a@x' };
    const refused = (inputs: unknown, handle = run) =>
      handle.resume({ inputs: inputs as Record<string, unknown> }).catch((error: unknown) => error);

    const unknown = await refused({ 'no-step': input, [jobId]: input });
    expect(unknown).toBeInstanceOf(InvalidOptionError);
    expect((unknown as Error).message).toContain('no-step');
    const done = await refused({ [succeeded?.id ?? '']: { user: 'eve' } });
    expect(done).toBeInstanceOf(JobStateError);
    expect((done as Error).message).toContain(`Step ${succeeded?.id} has succeeded`);
    expect(await refused({ [jobId]: undefined })).toBeInstanceOf(InvalidOptionError);
    expect(await refused([input])).toBeInstanceOf(InvalidOptionError);
    const misspelt = await run.resume({ input: { [jobId]: input } } as object).catch((error) => error);
    expect(misspelt).toMatchObject({ code: 'INVALID_OPTION' });

    const elsewhere = engine.sameApp();
    const foreign = await refused({ [jobId]: input }, elsewhere.result(run.id) as never);
    expect(foreign).toBeInstanceOf(InvalidOptionError);
    expect((foreign as Error).message).toContain('defines task "mail"');

    const other = await fallback(mail.s({ to: 'first' }), log.si({})).delay();
    expect(await other.get(soon)).toEqual({});
    const both = await fallback(mail.s({ to: 'first' }), mail.si({ to: 'second' })).delay();
    await both.get(soon).catch(() => {});
    const steps = (await both.graph()).nodes.filter(({ task }) => task === 'mail');
    const results = await Promise.all(steps.map(({ id }) => refused({ [id]: { to: 7 } }, both as never)));
    expect(results.map((error) => (error as Error).name).sort()).toEqual([
      'JobStateError',
      'ValidationError',
    ]);

    const sliced = await chunks(mail, [{ to: 'b' }], 10).delay();
    const chunk = await failureOf(sliced);
    expect(await refused({ [chunk.jobId]: input }, sliced as never)).toMatchObject({
      name: 'JobStateError',
      message: expect.stringContaining('several inputs of chunks()'),
    });
    expect(await run.state()).toBe('failed');
    expect((await app.deadLetters.list({ task: 'mail' })).length).toBeGreaterThan(0);
  });
});

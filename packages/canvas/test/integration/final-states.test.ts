/** Every way a step can end, in every place: what waits for it, however far, comes to an end too. */
import { once } from 'node:events';
import { chain, group } from '@umbel/canvas';
import { type AsyncResult, TaskFailedError } from '@umbel/core';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { sampled } from '../../../../test/support/length.js';
import { type AnySignature, PLACES, type Place } from '../support/places.js';
import { toolbox } from '../support/toolbox.js';

const soon = { timeout: '50s' } as const;

/** A worker with its tasks, and an app that knows none of them, so that no input is checked before it is sent. */
async function start(engine: Engine) {
  const app = engine.app();
  const tools = toolbox(app);
  const { runs, echo } = tools;
  app.task({ name: 'picky', input: z.literal('nothing fits'), run: async () => 1 });
  app.task({
    name: 'slow',
    run: async (_, ctx) => {
      runs.push({ task: 'slow', id: ctx.id, runId: ctx.runId, attempt: ctx.attempt });
      await once(ctx.signal, 'abort');
    },
  });
  app.task({ name: 'reject', run: async (_, ctx) => ctx.reject('not this one') });
  app.task({ name: 'stop', run: async (_, ctx) => ctx.stop('enough') });
  app.task({ name: 'swap', run: async (_, ctx) => ctx.replace(chain(echo.si('new'), echo)) });
  await app.worker().start();
  const sender = engine.sameApp();
  const task = (name: string): AnySignature => sender.signature(name);
  const jobOf = (run: AsyncResult<unknown>, path: string) => sender.result(`${run.id}.${path}`);
  const statesOf = (run: AsyncResult<unknown>, paths: readonly string[]) =>
    Promise.all(paths.map((path) => jobOf(run, path).state()));
  return { ...tools, task, jobOf, statesOf };
}

type Started = Awaited<ReturnType<typeof start>>;

/** No job waits, runs or is to run, and none was run twice. */
async function nothingIsLeft(engine: Engine, { runs }: Started): Promise<void> {
  for (const name of ['umbel', 'default']) {
    const queue = engine.bareQueue(name);
    await vi.waitFor(async () => {
      const counts = await queue.getJobCounts('waiting', 'waiting-children', 'active', 'delayed');
      expect(counts).toEqual({ waiting: 0, 'waiting-children': 0, active: 0, delayed: 0 });
    });
  }
  expect(new Set(runs.map(({ id }) => id)).size).toBe(runs.length);
}

interface Ending {
  readonly name: string;
  readonly step: (task: Started['task']) => AnySignature;
  /** Done to the step once it waits for its time. */
  readonly act?: (engine: Engine, job: AsyncResult<unknown>) => Promise<unknown>;
  readonly state: 'failed' | 'revoked' | 'expired';
  readonly cause: string;
}

const late = (task: Started['task']) => task('echo').set({ countdown: '1h' });

const FAILURES: readonly Ending[] = [
  { name: 'failed', step: (task) => task('fail'), state: 'failed', cause: 'Boom' },
  { name: 'rejected', step: (task) => task('reject'), state: 'failed', cause: 'RejectedError' },
  { name: 'given a wrong input', step: (task) => task('picky'), state: 'failed', cause: 'ValidationError' },
  {
    name: 'a task without a handler',
    step: (task) => task('nobody'),
    state: 'failed',
    cause: 'UnknownTaskError',
  },
  {
    name: 'timed out',
    step: (task) => task('slow').set({ timeout: 15 }),
    state: 'failed',
    cause: 'TimeLimitError',
  },
  {
    name: 'expired',
    step: (task) => task('echo').set({ expires: new Date(Date.now() - 1000) }),
    state: 'expired',
    cause: 'ExpiredError',
  },
  { name: 'revoked', step: late, act: (_, job) => job.revoke(), state: 'revoked', cause: 'RevokedError' },
  {
    name: 'lost',
    step: late,
    act: (engine, job) => engine.bareQueue('default').remove(job.id, { removeChildren: false }),
    state: 'failed',
    cause: 'LostJobError',
  },
];

const started = (tools: Started, run: AsyncResult<unknown>, paths: readonly string[]) =>
  tools.runs.filter(({ id }) => paths.some((path) => id === `${run.id}.${path}`));

onEveryEngine('a step that is', (engine) => {
  /** The rules are the same on each engine; a part of the places tells whether a server keeps them. */
  const places = engine.name === 'memory' ? PLACES : sampled(PLACES, 3);

  describe.each(FAILURES)('$name', ({ step, act, state, cause }) => {
    test.each(places)('as $name ends the whole', async (place) => {
      const tools = await start(engine);
      const { task, jobOf, statesOf } = tools;
      const run = await place.build(step(task), task('echo')).delay(1);
      const odd = jobOf(run, place.odd);
      if (act !== undefined) {
        await vi.waitFor(async () => expect(await odd.state()).toBe('delayed'));
        await act(engine, odd);
      }
      const error = await run.get(soon).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(TaskFailedError);
      expect(error).toMatchObject({ state, cause: { name: cause } });
      expect((error as TaskFailedError).message).toContain(odd.id);
      expect(await run.state()).toBe(state);
      expect(await statesOf(run, place.later)).toEqual(place.later.map(() => state));
      await nothingIsLeft(engine, tools);
      expect(await odd.state()).toBe(cause === 'LostJobError' ? 'unknown' : state);
      expect(await statesOf(run, place.others)).toEqual(place.others.map(() => 'completed'));
      expect(started(tools, run, place.later)).toEqual([]);
      expect(started(tools, run, place.others)).toHaveLength(place.others.length);
    });
  });

  test.each(places)('skipped as $name leaves nothing behind', async (place) => {
    const tools = await start(engine);
    const { task, hold, jobOf, statesOf, signals } = tools;
    const at = (path: string) => path.replace(/^0/, '0.1');
    const workflow = place.build(late(task), task('echo'));
    const held = once(signals, 'held');
    const run = await group.any([task(hold.name), workflow], { cancelSiblings: true }).delay(1);
    const odd = jobOf(run, at(place.odd));
    await held;
    await vi.waitFor(async () => expect(await odd.state()).toBe('delayed'));
    signals.emit('release');
    expect(await run.get(soon)).toBe(1);
    await nothingIsLeft(engine, tools);
    const skipped = [place.odd, ...place.later].map(at);
    expect(await statesOf(run, skipped)).toEqual(skipped.map(() => 'skipped'));
    expect(started(tools, run, skipped)).toEqual([]);
  });

  test.each(places)('ended with ctx.stop as $name ends its chain with a value', async (place) => {
    const tools = await start(engine);
    const { task, jobOf, statesOf } = tools;
    const run = await place.build(task('stop'), task('echo')).delay(1);
    expect(await run.get(soon)).toEqual(resultOf(place, 'enough'));
    expect(await run.state()).toBe('completed');
    await nothingIsLeft(engine, tools);
    expect(await jobOf(run, place.odd).state()).toBe('completed');
    expect(await jobOf(run, place.odd).get(soon)).toBe('enough');
    const isSkipped = place.isFollowed === true;
    expect(await statesOf(run, place.later)).toEqual(
      place.later.map(() => (isSkipped ? 'skipped' : 'completed')),
    );
    expect(started(tools, run, place.later)).toHaveLength(isSkipped ? 0 : place.later.length);
  });

  test.each(places)('replaced as $name gives what took its place', async (place) => {
    const tools = await start(engine);
    const { task, statesOf } = tools;
    const run = await place.build(task('swap'), task('echo')).delay(1);
    expect(await run.get(soon)).toEqual(resultOf(place, 'new'));
    expect(await run.state()).toBe('completed');
    await nothingIsLeft(engine, tools);
    const all = [place.odd, ...place.others, ...place.later];
    expect(await statesOf(run, all)).toEqual(all.map(() => 'completed'));
    expect(started(tools, run, place.later)).toHaveLength(place.later.length);
  });
});

/** What the whole gives for what the step in this place gives, where all other steps give what they are given. */
function resultOf(place: Place, value: unknown): unknown {
  switch (place.odd) {
    case '0-0.1':
      return [1, value, 1];
    case '0-0.1-0.1':
      return [1, [1, value]];
    case '0-1.0':
      return [value, 1];
    default:
      return value;
  }
}

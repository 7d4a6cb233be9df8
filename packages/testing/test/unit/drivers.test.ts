/** Whoever lets the engine work, two at a time: neither changes what the other one sees. */
import { group } from '@umbel/canvas';
import { type AsyncResult, createApp } from '@umbel/core';
import { type Attempt, NothingLeftError, type TestApp, testApp } from '@umbel/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';

const START = Date.UTC(2030, 0, 1);

const app = createApp({ name: 'drivers' });
const note = app.task({ name: 'note', input: z.string(), run: async (text) => text });
const sleeper = app.task({
  name: 'sleeper',
  input: z.string(),
  run: async (text, ctx) => {
    await ctx.sleep('20s');
    return text;
  },
});
const outer = app.task({
  name: 'outer',
  run: async (): Promise<string> => second.get({ allowInTask: true }),
});

let t: TestApp;
/** The calls that are due after 10 s and after 30 s. */
let first: AsyncResult<string>;
let second: AsyncResult<string>;

beforeEach(async () => {
  t = await testApp(app);
  first = await note.applyAsync('first', { countdown: '10s' });
  second = await note.applyAsync('second', { countdown: '30s' });
});
afterEach(() => t.close());

async function nextInput(): Promise<unknown> {
  return inputOf(await t.next());
}

function inputOf(attempt: Attempt | undefined): unknown {
  return attempt?.task === 'note' || attempt?.task === 'sleeper' ? attempt.input : attempt?.task;
}

async function members(): Promise<unknown[]> {
  const seen: unknown[] = [];
  const run = await t.start(group([note.si('member').set({ countdown: '15s' })]));
  for await (const member of run) seen.push((member as { value: unknown }).value);
  return seen;
}

/** What one gives, and at which second. */
type Expected = readonly [value: unknown, second: number];

const drivers: Record<string, { drive: () => Promise<unknown>; alone: Expected }> = {
  'get, of the first': { drive: () => first.get(), alone: ['first', 10] },
  'get, of the second': { drive: () => second.get(), alone: ['second', 30] },
  run: { drive: () => t.run(sleeper, 'ran'), alone: ['ran', 20] },
  'run, of a handler that gets': { drive: () => t.run(outer), alone: ['second', 30] },
  members: { drive: members, alone: [['member'], 15] },
  perform: { drive: () => t.perform(sleeper, 'performed'), alone: ['performed', 20] },
  'advance, to before the first': { drive: () => t.advance('5s'), alone: [undefined, 5] },
  'advance, to the first': { drive: () => t.advance('10s'), alone: [undefined, 10] },
  'advance, past all': { drive: () => t.advance('1m'), alone: [undefined, 60] },
  runUntilIdle: { drive: () => t.runUntilIdle(), alone: [undefined, 30] },
  next: { drive: nextInput, alone: ['first', 10] },
};

/** `next` takes the job that is handed out next, whoever has sent it. */
const nextBeside: Record<string, Expected> = {
  run: ['ran', 20],
  'run, of a handler that gets': ['outer', 30],
};

function expected(name: string, other: string): Expected {
  return (name === 'next' ? nextBeside[other] : undefined) ?? (drivers[name]?.alone as Expected);
}

/** What a driver gives, and when it goes on. */
async function observed(name: string): Promise<Expected> {
  const value = await drivers[name]?.drive();
  return [value, (t.now.getTime() - START) / 1000];
}

const names = Object.keys(drivers);

describe.each(names)('%s', (one) => {
  test('alone', async () => {
    expect(await observed(one)).toEqual(expected(one, ''));
  });

  test.each(names.filter((other) => one !== 'next' || other !== 'next'))('beside %s', async (other) => {
    const seen = await Promise.all([observed(one), observed(other)]);
    expect(seen).toEqual([expected(one, other), expected(other, one)]);
    await t.runUntilIdle();
    const due = t.attempts.filter(({ input }) => input === 'first' || input === 'second');
    expect(due.map(({ input, at }) => [input, at - START])).toEqual([
      ['first', 10_000],
      ['second', 30_000],
    ]);
  });
});

test('two that ask for the next attempt get one each', async () => {
  expect(await Promise.all([observed('next'), observed('next'), observed('next')])).toEqual([
    ['first', 10],
    ['second', 30],
    [undefined, 30],
  ]);
});

test('one that goes on first is let finish what it does before time moves for the others', async () => {
  const later = first.get().then(() => note.applyAsync('third', { countdown: '5s' }));
  await t.advance('1m');
  await later;
  expect(t.attempts.map(({ input, at }) => [input, at - START])).toEqual([
    ['first', 10_000],
    ['third', 15_000],
    ['second', 30_000],
  ]);
});

let knots = 0;

/** A call that waits for its own result. */
async function startKnot(): Promise<AsyncResult<string>> {
  knots += 1;
  let own: AsyncResult<string> | undefined;
  const knot = app.task({
    name: `knot-${knots}`,
    run: async (): Promise<string> => (own === undefined ? 'untied' : own.get({ allowInTask: true })),
  });
  own = await t.start(knot);
  return own;
}

test('a result that nothing brings is given up once nobody lets time pass any more', async () => {
  const knot = await startKnot();
  const givenUp = knot.get().catch((error: unknown) => [error, t.now.getTime() - START]);
  await t.advance('1m');
  expect(await givenUp).toEqual([expect.any(NothingLeftError), 60_000]);
});

test('a handler that is performed goes on when nothing is left for what it waits for', async () => {
  const patient = app.task({
    name: 'patient',
    run: async (_, ctx): Promise<string> => {
      const error = await (await startKnot()).get({ allowInTask: true }).catch((reason: unknown) => reason);
      await ctx.sleep('1m');
      return (error as Error).name;
    },
  });
  expect(await t.perform(patient)).toBe('NothingLeftError');
});

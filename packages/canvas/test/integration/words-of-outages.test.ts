/** A failure that reads like an outage of the store is a failure: where an error comes from decides, never its words. */

import { chain, chord, fallback, group } from '@umbel/canvas';
import { type AsyncResult, ConnectionError, createApp, type Middleware } from '@umbel/core';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { memory, onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

/** What clients of stores say, the task's own among them, and what a join writes with its members. */
const WORDS = [
  'Connection lost: The server closed the connection.',
  'Connection is closed.',
  "READONLY You can't write against a read only replica.",
  'OOM command not allowed when used memory',
  'TRYAGAIN not now',
  'ECONNREFUSED',
  'umbel:won',
  'umbel:again',
] as const;

const PLACES = ['handler', 'schema', 'issue', 'middleware', 'result', 'own error'] as const;

const errorOf = (words: string) =>
  words.startsWith('EC') ? Object.assign(new Error(`connect ${words}`), { code: words }) : new Error(words);

onEveryEngine('an error in the words of an outage', (engine) => {
  async function start() {
    let attempts = 0;
    const thrown = z.object({ at: z.enum(PLACES), words: z.string() });
    type Thrown = z.infer<typeof thrown>;
    const strict: Middleware = {
      async run(_, next, input) {
        const { at, words } = (input ?? {}) as Partial<Thrown>;
        if (at === 'middleware') throw errorOf(words ?? '');
        return next();
      },
    };
    const app = engine.app({
      middleware: [strict],
      hooks: {
        before: () => {
          throw errorOf(WORDS[0]);
        },
        failure: () => {
          throw errorOf(WORDS[1]);
        },
      },
    });
    const bad = app.task({
      name: 'bad',
      input: thrown.superRefine(({ at, words }, { addIssue }) => {
        if (!isWorking) return;
        if (at === 'schema') throw errorOf(words);
        if (at === 'issue') addIssue({ code: 'custom', message: words });
      }),
      output: z.unknown().superRefine((value, { addIssue }) => {
        if (value !== undefined) addIssue({ code: 'custom', message: String(value) });
      }),
      run: async ({ at, words }): Promise<unknown> => {
        attempts += 1;
        if (at === 'result') return words;
        throw at === 'own error' ? new ConnectionError(words) : errorOf(words);
      },
    });
    const ship = app.task({ name: 'ship', input: z.unknown(), run: async (input: unknown) => input ?? null });
    // A sender checks inputs as well; there they are fine.
    let isWorking = false;
    return {
      app,
      bad,
      ship,
      attempts: () => attempts,
      work: async () => {
        isWorking = true;
        await app.worker({ concurrency: 20 }).start();
      },
    };
  }

  describe.each(PLACES)('of a %s', (at) => {
    test('fails what waits for it', async () => {
      const { bad, ship, work } = await start();
      const failing: AsyncResult<unknown>[] = [];
      const settled: AsyncResult<unknown>[] = [];
      const rescued: AsyncResult<unknown>[] = [];
      for (const words of WORDS) {
        const step = bad.si({ at, words });
        failing.push(
          await bad.delay({ at, words }),
          await chain(step, ship).delay(),
          await group([step, ship.si(1)]).delay(),
          await chord([step, ship.si(1)], ship).delay(),
          await group.any([step, step]).delay(),
          await chain(group([step, group([step])]), ship).delay(),
        );
        settled.push(await group.settled([step, ship.si(1)]).delay());
        rescued.push(await fallback(step, ship.si('other')).delay());
        rescued.push(await group.any([step, ship.si('other')]).delay());
      }
      await work();
      for (const run of failing) {
        await expect(run.get(soon)).rejects.toMatchObject({ code: 'TASK_FAILED', task: 'bad' });
        expect(await run.state()).toBe('failed');
      }
      for (const run of settled)
        expect(await run.get(soon)).toMatchObject([{ ok: false }, { ok: true, value: 1 }]);
      for (const run of rescued) expect(await run.get(soon)).toBe('other');
    });
  });

  test('is an attempt, and is tried again as often as the task says', async () => {
    const { bad, attempts, work } = await start();
    const retry = { attempts: 3, delay: 1, jitter: false } as const;
    const run = await bad.applyAsync({ at: 'handler', words: WORDS[0] }, { retry });
    await work();
    await expect(run.get(soon)).rejects.toThrow(WORDS[0]);
    expect(attempts()).toBe(3);
  });

  test('is noted with the schedule that could not fire for it', async () => {
    const app = engine.app();
    let isDeclared = false;
    const task = app.task({
      name: 'task',
      input: z.number().superRefine(() => {
        if (isDeclared) throw errorOf(WORDS[0]);
      }),
      run: async (n: number) => n,
    });
    const often = app.schedule('often', { every: '1s' }, task.si(1));
    await app.worker().start();
    isDeclared = true;
    await vi.waitFor(
      async () => {
        const { runs } = await often.info();
        expect(runs.map(({ outcome }) => outcome)).toContain('failed');
      },
      { timeout: 10_000, interval: 50 },
    );
  });

  test('of what decides about retries fails the job with its own error', async () => {
    const app = engine.app();
    const task = app.task({
      name: 'task',
      retry: {
        attempts: 3,
        on: () => {
          throw errorOf(WORDS[0]);
        },
      },
      run: async () => {
        throw new Error('the handler failed');
      },
    });
    await app.worker().start();
    const run = await chain(task, task).delay();
    await expect(run.get(soon)).rejects.toThrow('the handler failed');
  });
});

test('what the store of another app does not answer in a handler is the failure of that handler', async () => {
  const logger = { info() {}, warn() {}, error() {} };
  const other = createApp({ name: 'other', connection: 'redis://127.0.0.1:1', sendTimeout: '50ms', logger });
  const far = other.task({ name: 'far', run: async () => 1 });
  const app = createApp({ name: 'near', connection: memory(), logger });
  let attempts = 0;
  const near = app.task({
    name: 'near',
    retry: { attempts: 2, delay: 1 },
    run: async () => {
      attempts += 1;
      return (await far.delay()).id;
    },
  });
  try {
    await app.worker().start();
    await expect((await chain(near.si(), near.si()).delay()).get(soon)).rejects.toThrow('did not answer');
    expect(attempts).toBe(2);
  } finally {
    await app.close();
    await other.close();
  }
});

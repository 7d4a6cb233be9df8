/** What operators do with jobs that have failed for good. */
import { randomBytes } from 'node:crypto';
import { chain } from '@umbel/canvas';
import {
  type App,
  CorruptJobError,
  type DeadLetter,
  type DeadLetterFilter,
  encryption,
  InvalidOptionError,
  JobStateError,
  UnknownJobError,
  ValidationError,
} from '@umbel/core';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { onRedis } from '../support/planting.js';

const soon = { timeout: '50s' } as const;

/** A task that fails for as long as it is told to, and what it was given. */
function payments(engine: Engine, options: Parameters<Engine['app']>[0] = {}) {
  const app = engine.app({ queues: ['payments', 'mails'], ...options });
  const world = { isUp: false };
  const seen: unknown[] = [];
  const pay = app.task({
    name: 'pay',
    queue: 'payments',
    input: z.object({ cents: z.number().int(), to: z.string().default('Ada') }),
    run: async (input, { log }) => {
      log.info(`paying ${input.cents}`);
      seen.push(input);
      if (!world.isUp)
        throw Object.assign(new TypeError('the bank is closed', { cause: new Error('Sunday') }), {
          code: 'E_BANK',
        });
      return input.cents;
    },
  });
  const mail = app.task({
    name: 'mail',
    queue: 'mails',
    input: z.string(),
    run: async (to) => {
      seen.push(to);
      if (!world.isUp) throw new RangeError(`no ${to}`);
      return `to ${to}`;
    },
  });
  return { app, pay, mail, world, seen };
}

/** Resolves once so many jobs have failed. */
async function failedIn(app: App, queue: string, count: number): Promise<void> {
  await vi.waitFor(async () => expect((await app.queue(queue).counts()).failed).toBe(count), soon5);
}
const soon5 = { timeout: 10_000, interval: 10 };

const ids = (letters: readonly { readonly id: string }[]) => letters.map(({ id }) => id);

async function all(app: App, filter: DeadLetterFilter, limit: number, between = async () => {}) {
  const found: DeadLetter[] = [];
  for (let cursor: string | undefined; ; cursor = found.at(-1)?.cursor) {
    const page = await app.deadLetters.list({ ...filter, limit, cursor });
    if (page.length === 0) return found;
    expect(page.length).toBeLessThanOrEqual(limit);
    found.push(...page);
    await between();
  }
}

onEveryEngine('a dead letter', (engine) => {
  test('tells all that is known of it', async () => {
    const { app, pay } = payments(engine);
    await app.worker().start();
    const before = Date.now();
    const call = await pay.applyAsync(
      { cents: 5 },
      { headers: { tenant: 'acme' }, tags: ['red'], displayName: 'Invoice 7' },
    );
    await call.outcome(soon);
    const letter = await app.deadLetters.get(call.id);
    expect(letter).toMatchObject({
      id: call.id,
      task: 'pay',
      queue: 'payments',
      state: 'failed',
      input: { cents: 5 },
      attempts: 1,
      displayName: 'Invoice 7',
      headers: { tenant: 'acme' },
      tags: ['red'],
      error: {
        name: 'TypeError',
        code: 'E_BANK',
        message: 'the bank is closed',
        stack: expect.stringContaining('dead-letters.test'),
        cause: { message: 'Sunday' },
      },
      lostStarts: [],
      canReplay: true,
    });
    expect(letter.logs).toEqual([expect.stringContaining('paying 5')]);
    expect(letter).not.toHaveProperty('whyNot');
    expect(letter).not.toHaveProperty('runId');
    const { timeline } = letter;
    expect(Object.keys(timeline)).toEqual(['enqueuedAt', 'startedAt', 'failedAt']);
    expect(timeline.failedAt).toEqual(letter.failedAt);
    const times = Object.values(timeline).map((date: Date) => date.getTime());
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times[0]).toBeGreaterThanOrEqual(before - 1000);
    await app.deadLetters.replay(call.id);
    await failedIn(app, 'payments', 1);
    const again = await app.deadLetters.get(call.id);
    expect(again.timeline.replayedAt?.getTime()).toBeGreaterThanOrEqual(times[2] ?? 0);
    expect(again.attempts).toBe(1);
  });

  test('that is a step names its run, and is refused with what to do instead', async () => {
    const { app, pay } = payments(engine);
    const whole = app.task({ name: 'whole', run: async () => ({ cents: 1 }) });
    await app.worker().start();
    const run = await chain(whole, pay).delay();
    await run.outcome(soon);
    const [letter] = await app.deadLetters.list();
    expect(letter).toMatchObject({ task: 'pay', runId: run.id });
    const id = letter?.id ?? '';
    const resume = `resume the run, with app.result('${run.id}').resume()`;
    expect(await app.deadLetters.get(id)).toMatchObject({
      canReplay: false,
      whyNot: expect.stringContaining(resume),
    });
    await expect(app.deadLetters.replay(id, { input: { cents: 2 } })).rejects.toThrow(resume);
    expect(await app.deadLetters.replayMany({})).toEqual({
      replayed: 0,
      skipped: [{ id, reason: expect.stringContaining(resume) }],
    });
    expect(await app.deadLetters.get(run.id)).toMatchObject({
      canReplay: false,
      whyNot: expect.stringContaining('is a workflow run: resume it'),
    });
  });

  test('that is none is refused', async () => {
    const { app, pay } = payments(engine);
    const { id } = await pay.delay({ cents: 1 });
    for (const refused of [
      () => app.deadLetters.get(id),
      () => app.deadLetters.replay(id, { input: { cents: 2 } }),
      () => app.deadLetters.discard(id),
    ])
      await expect(refused()).rejects.toThrow('is waiting, not failed');
    for (const refused of [() => app.deadLetters.get('nothing'), () => app.deadLetters.discard('nothing')])
      await expect(refused()).rejects.toThrow(UnknownJobError);
    await app.worker().start();
  });
});

onEveryEngine('a list of dead letters', (engine) => {
  test('holds those that fit every filter', async () => {
    const { app, pay, mail } = payments(engine);
    await app.worker().start();
    const late = app.task({ name: 'late', queue: 'mails', expires: 1, run: async () => 1 });
    const first = await pay.applyAsync({ cents: 1 }, { tags: ['red', 'blue'] });
    await first.outcome(soon);
    const second = await mail.applyAsync('Bob', { tags: ['red'] });
    await second.outcome(soon);
    const third = await late.applyAsync(undefined, { countdown: 30 });
    await third.outcome(soon);
    const at = (await app.deadLetters.get(second.id)).failedAt;
    const listed = async (filter: DeadLetterFilter) => ids(await app.deadLetters.list(filter));
    expect(await listed({})).toEqual([third.id, second.id, first.id]);
    expect(await listed({ queue: 'mails' })).toEqual([third.id, second.id]);
    expect(await listed({ task: 'pay' })).toEqual([first.id]);
    expect(await listed({ error: 'RangeError' })).toEqual([second.id]);
    expect(await listed({ error: 'E_BANK' })).toEqual([first.id]);
    expect(await listed({ error: 'EXPIRED' })).toEqual([third.id]);
    expect(await listed({ state: 'expired' })).toEqual([third.id]);
    expect(await listed({ state: 'failed' })).toEqual([second.id, first.id]);
    expect(await listed({ tag: 'red' })).toEqual([second.id, first.id]);
    expect(await listed({ tag: 'red', queue: 'payments' })).toEqual([first.id]);
    expect(await listed({ since: at })).toEqual([third.id, second.id]);
    expect(await listed({ until: at })).toEqual([second.id, first.id]);
    expect(await listed({ since: at, until: at })).toEqual([second.id]);
    expect(await listed({ tag: 'green' })).toEqual([]);
    expect(await app.deadLetters.list({ offset: 1, limit: 1 })).toMatchObject([{ id: second.id }]);
  });

  test('comes in pages that hold each once, in one order over all queues', async () => {
    const { app, pay, mail } = payments(engine);
    await app.worker({ concurrency: 10 }).start();
    const sent = await pay.sendMany(Array.from({ length: 70 }, (_, cents) => ({ cents })));
    sent.push(...((await mail.sendMany(Array.from({ length: 60 }, (_, n) => `${n}`))) as never[]));
    await failedIn(app, 'payments', 70);
    await failedIn(app, 'mails', 60);
    const found = await all(app, {}, 17);
    expect(ids(found).toSorted()).toEqual(ids(sent).toSorted());
    const times = found.map(({ failedAt }) => failedAt.getTime());
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    expect(ids(await app.deadLetters.list({ limit: 1000 }))).toEqual(ids(found));
    expect(ids(await app.deadLetters.list({ limit: 5, offset: 30 }))).toEqual(ids(found.slice(30, 35)));
    expect(ids(await all(app, { task: 'mail', cursor: undefined }, 9))).toEqual(
      ids(found.filter(({ task }) => task === 'mail')),
    );
  });

  test('leaves none out, and gives none twice, while others fail and are taken away', async () => {
    const { app, pay, world } = payments(engine);
    await app.worker({ concurrency: 10 }).start();
    const sent = await pay.sendMany(Array.from({ length: 90 }, (_, cents) => ({ cents })));
    await failedIn(app, 'payments', 90);
    const order = ids(await app.deadLetters.list({ limit: 1000 }));
    const found: string[] = [];
    let cursor: string | undefined;
    for (let page = 0; found.length < 90; page += 1) {
      const letters = await app.deadLetters.list({ limit: 20, cursor });
      found.push(...ids(letters));
      cursor = letters.at(-1)?.cursor;
      // Those that were given go, and newer ones come.
      for (const letter of letters.slice(0, 7)) await app.deadLetters.discard(letter.id);
      await (await pay.delay({ cents: 1000 + page })).outcome(soon);
    }
    expect(found).toEqual(order);
    expect(sent).toHaveLength(90);
    expect(await app.deadLetters.list({ cursor })).toEqual([]);
    world.isUp = true;
  });

  test.each<[string, object]>([
    ['limit', { limit: 0 }],
    ['limit', { limit: 1001 }],
    ['offset', { offset: -1 }],
    ['queue', { queue: 'umbel' }],
    ['queue', { queue: 'a:b' }],
    ['task', { task: '' }],
    ['error', { error: '' }],
    ['state', { state: 'active' }],
    ['tags', { tag: 5 }],
    ['since', { since: '1h' }],
    ['until', { until: new Date('never') }],
    ['cursor', { cursor: 'x' }],
    ['cursor', { cursor: Buffer.from('[1,2,3]').toString('base64url') }],
    ['tags', { tags: ['red'] }],
  ])('with a bad %s is refused: %o', async (option, query) => {
    const { app } = payments(engine);
    const refused = { name: 'InvalidOptionError', option };
    await expect(app.deadLetters.list(query)).rejects.toMatchObject(refused);
    await expect(app.deadLetters.discardMany(query as DeadLetterFilter)).rejects.toThrow(InvalidOptionError);
    await expect(app.deadLetters.replayMany(query as DeadLetterFilter)).rejects.toThrow(InvalidOptionError);
  });
});

onEveryEngine('a replay', (engine) => {
  async function failed(options: Parameters<Engine['app']>[0] = {}) {
    const world = payments(engine, options);
    const worker = await world.app.worker().start();
    const call = await world.pay.delay({ cents: 5, to: 'Bob' });
    await call.outcome(soon);
    return { ...world, call, worker };
  }
  const stored = async (id: string) => (await engine.bareQueue('payments').getJob(id))?.data;

  test('with another input runs with that, and gives its result to whoever waits', async () => {
    const { app, call, world, seen } = await failed();
    world.isUp = true;
    const other = engine.sameApp();
    await other.deadLetters.replay(call.id, { input: { cents: 7 } });
    expect(await app.result(call.id).get(soon)).toBe(7);
    expect(seen.at(-1)).toEqual({ cents: 7, to: 'Ada' });
  });

  test('edits a copy of the input it failed with', async () => {
    const { app, call, world, seen } = await failed();
    world.isUp = true;
    await app.deadLetters.replay(call.id, {
      edit: (input) => Object.assign(input as object, { cents: 8 }),
    });
    expect(await call.get(soon)).toBe(8);
    expect(seen.at(-1)).toEqual({ cents: 8, to: 'Bob' });
  });

  test('with an input that does not fit is refused, and changes nothing', async () => {
    const { app, call, seen } = await failed({ limits: { inputBytes: 1000 } });
    const before = await stored(call.id);
    for (const input of [
      { cents: 'many' },
      { cents: 1.5 },
      { cents: 1, to: new Date() },
      { cents: 1, to: 'x'.repeat(1000) },
      JSON.parse('{"cents":1,"__proto__":{"to":"x"}}'),
    ]) {
      const refused: unknown = await app.deadLetters
        .replay(call.id, { input })
        .catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(ValidationError);
      expect(refused).toMatchObject({ task: 'pay', subject: 'input' });
    }
    const thrown = new Error('no idea');
    await expect(
      app.deadLetters.replay(call.id, {
        edit: () => {
          throw thrown;
        },
      }),
    ).rejects.toBe(thrown);
    expect(await stored(call.id)).toEqual(before);
    expect(await call.state()).toBe('failed');
    expect(seen).toHaveLength(1);
  });

  test.each<[string, object]>([
    ['input', { input: undefined }],
    ['edit', { input: { cents: 1 }, edit: () => 1 }],
    ['edit', { edit: 'cents' }],
    ['edit', { edit: () => undefined }],
  ])('with a bad %s is refused: %o', async (option, options) => {
    const { app, call } = await failed();
    await expect(app.deadLetters.replay(call.id, options)).rejects.toMatchObject({
      name: 'InvalidOptionError',
      option,
    });
    expect(await call.state()).toBe('failed');
  });

  test('of a task that is not known here is checked by its worker', async () => {
    const { call, world } = await failed();
    world.isUp = true;
    const other = engine.sameApp();
    await other.deadLetters.replay(call.id, { input: { cents: 'many' } });
    await expect(call.get(soon)).rejects.toMatchObject({ cause: { name: 'ValidationError' } });
    expect(await other.deadLetters.get(call.id)).toMatchObject({
      input: { cents: 'many' },
      error: { name: 'ValidationError' },
    });
  });

  test('of a revoked or expired job starts it, without the mark', async () => {
    const { app, pay, world } = payments(engine);
    world.isUp = true;
    const revoked = await pay.applyAsync({ cents: 1 }, { countdown: '1h', expires: '2h' });
    await revoked.revoke();
    await app.worker().start();
    await revoked.outcome(soon);
    expect(await app.deadLetters.list()).toEqual([]); // somebody wanted it so
    expect(await app.deadLetters.discardMany({})).toEqual({ discarded: 0, skipped: [] });
    await expect(app.deadLetters.list({ state: 'revoked' as 'failed' })).rejects.toThrow(
      "app.jobs.list({ state: 'revoked' })",
    );
    expect(await app.deadLetters.get(revoked.id)).toMatchObject({ state: 'revoked' });
    await app.deadLetters.replay(revoked.id, { input: { cents: 2 } });
    expect(await revoked.get(soon)).toBe(2);
    const data = await stored(revoked.id);
    expect(Object.keys(data).toSorted()).toEqual(['input', 'replayed', 'umbel']);
  });

  test('seals the input it was given', async () => {
    const codecs = [encryption({ keys: { k: randomBytes(32) }, current: 'k' })];
    const { app, call, world, seen } = await failed({ codecs });
    world.isUp = true;
    await app.deadLetters.replay(call.id, {
      edit: (input) => ({ ...(input as object), to: 'canary-4711' }),
    });
    expect(await call.get(soon)).toBe(5);
    expect(seen.at(-1)).toEqual({ cents: 5, to: 'canary-4711' });
    const data = await stored(call.id);
    expect(Object.keys(data.input)).toEqual(['umbel:sealed']);
    expect(JSON.stringify(data)).not.toContain('canary');
    if (engine.name === 'redis')
      await onRedis(async (redis) => {
        const keys = await redis.keys(`umbel:{${app.name}}:payments:*`);
        for (const key of keys)
          if ((await redis.type(key)) === 'hash')
            expect(JSON.stringify(await redis.hgetall(key))).not.toContain('canary');
      });
  });

  test('edits no input that it cannot decode, and takes another one for it', async () => {
    const codecs = [encryption({ keys: { k: randomBytes(32) }, current: 'k' })];
    const { call, world, app } = await failed({ codecs });
    const without = engine.sameApp({ codecs: [] });
    world.isUp = true;
    const edit = (input: unknown) => input;
    await expect(without.deadLetters.replay(call.id, { edit })).rejects.toThrow(CorruptJobError);
    expect(await app.deadLetters.get(call.id)).toMatchObject({ input: { cents: 5, to: 'Bob' } });
  });

  describe('at the same moment as another one', () => {
    test('is one of which one wins, with its own input', async () => {
      const { app, call, world, seen, worker } = await failed();
      await worker.close();
      const others = [app, engine.sameApp(), engine.sameApp()];
      let runs = seen.length;
      for (let round = 0; round < 15; round += 1) {
        const inputs = others.map((_, index) => ({ cents: round * 10 + index }));
        const outcomes = await Promise.allSettled(
          others.map((other, index) => other.deadLetters.replay(call.id, { input: inputs[index] })),
        );
        const won = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []));
        expect(won).toHaveLength(1);
        for (const outcome of outcomes)
          if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(JobStateError);
        const again = await app.worker({ queues: ['payments'] }).start();
        await failedIn(app, 'payments', 1);
        await again.close();
        runs += 1;
        expect(seen).toHaveLength(runs);
        expect(seen.at(-1)).toMatchObject(inputs[won[0] ?? -1] ?? {});
        expect(await app.deadLetters.get(call.id)).toMatchObject({ error: { name: 'TypeError' } });
      }
      world.isUp = true;
    });

    test('that is slower changes neither what is queued nor what has failed again', async () => {
      const { app, call, seen, worker } = await failed();
      await worker.close();
      const slow = () => {
        let go = () => {};
        const gone = new Promise<void>((resolve) => {
          go = resolve;
        });
        let isAsked = () => {};
        const asked = new Promise<void>((resolve) => {
          isAsked = resolve;
        });
        const replay = app.deadLetters.replay(call.id, {
          edit: async () => {
            isAsked();
            await gone;
            return { cents: 666 };
          },
        });
        return { replay, asked, go };
      };
      const [first, second] = [slow(), slow()];
      await Promise.all([first.asked, second.asked]);
      await app.deadLetters.replay(call.id, { input: { cents: 9 } });
      first.go();
      await expect(first.replay).rejects.toThrow('is no longer failed, or another change is in progress');
      expect(await stored(call.id)).toMatchObject({ input: { cents: 9 } });
      await app.worker().start();
      await failedIn(app, 'payments', 1);
      second.go();
      await expect(second.replay).rejects.toThrow(JobStateError);
      expect(await app.deadLetters.get(call.id)).toMatchObject({
        input: { cents: 9 },
        error: { name: 'TypeError', message: 'the bank is closed' },
      });
      expect(seen.at(-1)).toMatchObject({ cents: 9 });
    });

    test('or as its worker fails it again runs the job once for each that was not refused', async () => {
      const { app, call, seen } = await failed();
      const others = [app, engine.sameApp(), engine.sameApp()];
      let replays = 0;
      await Promise.all(
        others.map(async (other) => {
          for (let round = 0; round < 20; round += 1) {
            await other.deadLetters.replay(call.id).then(
              () => {
                replays += 1;
              },
              (error: unknown) => expect(error).toBeInstanceOf(JobStateError),
            );
          }
        }),
      );
      expect(replays).toBeGreaterThan(0);
      await vi.waitFor(async () => expect(await call.state()).toBe('failed'), soon5);
      expect(seen).toHaveLength(1 + replays);
      expect(await app.deadLetters.get(call.id)).toMatchObject({ error: { code: 'E_BANK' } });
    });
  });
});

onEveryEngine('many dead letters', (engine) => {
  async function failedMany(count: number) {
    const world = payments(engine);
    await world.app.worker({ concurrency: 10 }).start();
    const sent = await world.pay.sendMany(Array.from({ length: count }, (_, cents) => ({ cents })));
    await failedIn(world.app, 'payments', count);
    await (await world.mail.delay('Bob')).outcome(soon);
    return { ...world, sent };
  }

  test('are replayed with edited inputs; one that does not fit is left, and told', async () => {
    const { app, sent, world } = await failedMany(60);
    world.isUp = true;
    const edit = (input: unknown, { task }: DeadLetter) => {
      const { cents } = input as { cents: number };
      return { cents: cents === 13 ? 0.5 : cents + 1000, to: task };
    };
    const outcome = await app.deadLetters.replayMany({ task: 'pay' }, { edit });
    expect(outcome).toEqual({
      replayed: 59,
      skipped: [{ id: sent[13]?.id, reason: expect.stringContaining('input.cents') }],
    });
    for (const [index, result] of sent.entries())
      if (index !== 13) expect(await result.get(soon)).toBe(1000 + index);
    expect(await sent[13]?.state()).toBe('failed');
    expect(await app.queue('mails').counts()).toMatchObject({ failed: 1 });
  });

  test('are counted by a dry run, which changes nothing', async () => {
    const { app, sent } = await failedMany(3);
    const before = await app.deadLetters.list();
    const edit = vi.fn((input: unknown) =>
      (input as { cents: number }).cents === 1 ? { cents: 'one' } : input,
    );
    expect(await app.deadLetters.replayMany({ queue: 'payments' }, { edit, dryRun: true })).toEqual({
      replayed: 2,
      skipped: [{ id: sent[1]?.id, reason: expect.stringContaining('input.cents') }],
    });
    expect(edit).toHaveBeenCalledTimes(3);
    expect(await app.deadLetters.replayMany({}, { dryRun: true })).toEqual({ replayed: 4, skipped: [] });
    expect(await app.deadLetters.discardMany({}, { dryRun: true })).toEqual({ discarded: 4, skipped: [] });
    expect(await app.deadLetters.list()).toEqual(before);
  });

  test('that fail again are replayed once, and a limit tells where to go on', async () => {
    const { app, seen } = await failedMany(60);
    seen.length = 0;
    const first = await app.deadLetters.replayMany({ task: 'pay' }, { limit: 40 });
    expect(first).toEqual({ replayed: 40, skipped: [], cursor: expect.any(String) });
    const rest = await app.deadLetters.replayMany({ task: 'pay', cursor: first.cursor });
    expect(rest).toEqual({ replayed: 20, skipped: [] });
    await failedIn(app, 'payments', 60);
    const inputs = seen.map((input) => (input as { cents: number }).cents);
    expect(inputs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, cents) => cents));
  });

  test('are discarded, those that are asked for', async () => {
    const { app, sent } = await failedMany(60);
    const first = await app.deadLetters.discardMany({ error: 'E_BANK' }, { limit: 26 });
    expect(first).toMatchObject({ discarded: 26, skipped: [] });
    expect(await app.deadLetters.discardMany({ error: 'E_BANK' })).toEqual({ discarded: 34, skipped: [] });
    for (const result of sent) expect(await result.state()).toBe('unknown');
    expect(await app.deadLetters.list()).toMatchObject([{ task: 'mail' }]);
  });

  test.each<[string, object]>([
    ['limit', { limit: 0 }],
    ['limit', { limit: 100_001 }],
    ['dryRun', { dryRun: 'yes' }],
  ])('are refused with a bad %s: %o', async (option, options) => {
    const { app } = payments(engine);
    const refused = { name: 'InvalidOptionError', option };
    await expect(app.deadLetters.replayMany({}, options)).rejects.toMatchObject(refused);
    await expect(app.deadLetters.discardMany({}, options)).rejects.toMatchObject(refused);
    await expect(app.deadLetters.replayMany({}, { edit: 5 as never })).rejects.toMatchObject({
      option: 'edit',
    });
    await expect(app.deadLetters.replayMany(undefined as never)).rejects.toThrow(InvalidOptionError);
  });
});

onEveryEngine('a dead letter that cannot be read', (engine) => {
  test('of a newer version is listed and can be replayed', async () => {
    const { app } = payments(engine);
    const bare = engine.bareQueue('payments');
    await bare.add('pay', { umbel: 99, input: { cents: 1 } }, { jobId: 'newer' });
    await app.worker().start();
    await failedIn(app, 'payments', 1);
    expect(await app.deadLetters.list({ error: 'CORRUPT_JOB' })).toEqual([]); // its failure could not be stored
    expect(await app.deadLetters.get('newer')).toMatchObject({ task: 'pay', canReplay: true });
    await app.deadLetters.discard('newer');
    expect(await app.deadLetters.list()).toEqual([]);
  });

  test('and was added by another program can be run again, but not edited', async () => {
    const { app } = payments(engine);
    await engine.bareQueue('payments').add('theirs', [1], { jobId: 'theirs' });
    const fallback = () => {
      throw new Error('not here');
    };
    await app.worker({ queues: ['payments'], fallback }).start();
    await failedIn(app, 'payments', 1);
    expect(await app.deadLetters.list({ task: 'theirs' })).toMatchObject([
      { id: 'theirs', error: { message: 'not here' } },
    ]);
    await expect(app.deadLetters.replay('theirs', { input: 1 })).rejects.toThrow('added by another program');
    await app.deadLetters.replay('theirs');
    await failedIn(app, 'payments', 1);
  });

  test.runIf(engine.name === 'redis')(
    'since its times are none is listed beside the one before it',
    async () => {
      const { app, pay } = payments(engine);
      await app.worker().start();
      await pay.sendMany([{ cents: 0 }, { cents: 1 }, { cents: 2 }]);
      await failedIn(app, 'payments', 3);
      const before = await app.deadLetters.list();
      const key = `umbel:{${app.name}}:payments:${before[1]?.id}`;
      const spoilt = { finishedOn: 'soon', processedOn: '9e99', timestamp: 'x' };
      await onRedis((redis) => redis.hset(key, spoilt));
      const after = await app.deadLetters.list();
      expect(ids(after).toSorted()).toEqual(ids(before).toSorted());
      expect(after.find(({ id }) => id === before[1]?.id)?.failedAt).toEqual(before[0]?.failedAt);
      expect(ids(await all(app, {}, 1))).toEqual(ids(after));
      const { timeline } = await app.deadLetters.get(before[1]?.id ?? '');
      for (const date of Object.values(timeline)) expect((date as Date).getTime()).not.toBeNaN();
    },
  );

  test.runIf(engine.name === 'redis').each(['data', 'opts'])(
    'since its %s is no JSON is listed with what is known, and can be discarded',
    async (field) => {
      const { app, pay } = payments(engine);
      await app.worker().start();
      const sent = await pay.sendMany([{ cents: 0 }, { cents: 1 }, { cents: 2 }]);
      await failedIn(app, 'payments', 3);
      const order = ids(await app.deadLetters.list());
      const id = order[1] ?? '';
      await onRedis((redis) => redis.hset(`umbel:{${app.name}}:payments:${id}`, field, '{"not json'));
      const letters = await app.deadLetters.list();
      expect(ids(letters).toSorted()).toEqual(order.toSorted());
      expect(letters.find((letter) => letter.id === id)).toMatchObject({
        id,
        task: field === 'data' ? 'pay' : 'unknown',
        queue: 'payments',
        input: undefined,
        error: { name: 'CorruptJobError', code: 'CORRUPT_JOB' },
      });
      const paged = await all(app, {}, 1);
      expect(ids(paged)).toEqual(ids(letters));
      expect(ids(await app.deadLetters.list({ error: 'CORRUPT_JOB' }))).toEqual([id]);
      const whyNot = expect.stringContaining('can only be discarded');
      expect(await app.deadLetters.get(id)).toMatchObject({ id, canReplay: false, whyNot });
      await expect(app.deadLetters.replay(id, { input: { cents: 3 } })).rejects.toThrow(JobStateError);
      expect(await app.deadLetters.replayMany({}, { dryRun: true })).toEqual({
        replayed: 2,
        skipped: [{ id, reason: whyNot }],
      });
      expect(await app.deadLetters.discardMany({ error: 'CORRUPT_JOB' })).toEqual({
        discarded: 1,
        skipped: [],
      });
      expect(await app.deadLetters.list()).toHaveLength(2);
      await app.deadLetters.discard(order[0] ?? '');
      expect(sent).toHaveLength(3);
    },
  );
});

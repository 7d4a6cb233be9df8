/** Nothing too long, too deep or too wide is written; and what another program has written so ends as a failure. */
import { CanvasError, chain, chunks, group, map } from '@umbel/canvas';
import {
  type AppOptions,
  CorruptJobError,
  createApp,
  InvalidOptionError,
  TaskFailedError,
  ValidationError,
} from '@umbel/core';
import { type BackendFactory, type IQueueBackend, Job } from 'bullmq';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, memory, onEveryEngine } from '../../../../test/engines.js';
import { cpuMs } from '../../../../test/support/cpu-time.js';
import { plantResult } from '../support/planting.js';

const soon = { timeout: '50s' } as const;
const MEBIBYTE = 1_048_576;

/** Text of so many bytes as JSON. */
const textOf = (bytes: number) => 'x'.repeat(bytes - 2);

/** An object with another one inside it, so many levels deep. */
const nested = (levels: number) => JSON.parse(nestedText(levels)) as unknown;
const nestedText = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

async function issueOf(outcome: Promise<unknown>): Promise<string> {
  const error = await outcome.then(
    () => new Error('nothing was refused'),
    (reason: unknown) => (reason instanceof TaskFailedError ? reason.cause : reason),
  );
  if (!(error instanceof ValidationError)) throw error;
  return error.issues.map(({ message }) => message).join();
}

onEveryEngine('a limit', (engine) => {
  function echoing(options: Partial<AppOptions> = {}) {
    const app = engine.app(options);
    const echo = app.task({ name: 'echo', input: z.any(), run: async (input: unknown) => input });
    const make = app.task({
      name: 'make',
      input: z.object({ bytes: z.number().optional(), levels: z.number().optional() }),
      run: async ({ bytes, levels }): Promise<unknown> =>
        bytes === undefined ? nested(levels ?? 0) : textOf(bytes),
    });
    return { app, echo, make };
  }

  const stored = async (app: ReturnType<Engine['app']>) => {
    const { waiting, delayed, active } = await app.queue('default').counts();
    return waiting + delayed + active;
  };

  test('of an input is 1 MiB: the last byte is stored, one more is not', async () => {
    const { app, echo } = echoing();
    expect(await issueOf(echo.delay(textOf(MEBIBYTE + 1)))).toContain(
      `it takes ${MEBIBYTE + 1} bytes as JSON, the limit is ${MEBIBYTE}`,
    );
    expect(await issueOf(chain(echo, echo).delay(textOf(MEBIBYTE + 1)))).toContain('the limit is');
    expect(await issueOf(group([echo.si(1), echo.si(textOf(MEBIBYTE + 1))]).delay())).toContain(
      'the limit is',
    );
    expect(await issueOf(chunks(echo, [1, textOf(MEBIBYTE + 1)], 2).delay())).toContain('the limit is');
    expect(await stored(app)).toBe(0);
    await app.worker().start();
    expect(await (await echo.delay(textOf(MEBIBYTE))).get(soon)).toHaveLength(MEBIBYTE - 2);
  });

  test('of a result is 1 MiB: the last byte is stored, one more fails the job', async () => {
    const { app, make } = echoing();
    await app.worker().start();
    expect(await (await make.delay({ bytes: MEBIBYTE })).get(soon)).toHaveLength(MEBIBYTE - 2);
    const long = await make.delay({ bytes: MEBIBYTE + 1 });
    expect(await issueOf(long.get(soon))).toContain(
      `${MEBIBYTE + 1} bytes as JSON, the limit is ${MEBIBYTE}`,
    );
  });

  test('of depth is 64 levels, of an input and of a result', async () => {
    const { app, echo, make } = echoing();
    expect(await issueOf(echo.delay(nested(65)))).toContain('it is nested deeper than 64 levels');
    expect(await issueOf(echo.delay(nested(100_000)))).toContain('it is nested deeper than 64 levels');
    expect(await stored(app)).toBe(0);
    await app.worker().start();
    expect(await (await echo.delay(nested(64))).get(soon)).toEqual(nested(64));
    expect(await (await make.delay({ levels: 64 })).get(soon)).toEqual(nested(64));
    expect(await issueOf((await make.delay({ levels: 65 })).get(soon))).toContain('deeper than 64 levels');
  });

  test('of progress and of what comes with a failure is that of a result', async () => {
    const app = engine.app({ limits: { resultBytes: 100 } });
    const tell = app.task({
      name: 'tell',
      input: z.number(),
      run: async (bytes, { progress }) => progress(textOf(bytes)),
    });
    const fail = app.task({
      name: 'fail',
      input: z.number(),
      failures: { bad: z.string() },
      run: async (bytes, ctx): Promise<void> => ctx.fail('bad', textOf(bytes)),
    });
    await app.worker().start();
    await (await tell.delay(100)).get(soon);
    expect(await issueOf((await tell.delay(101)).get(soon))).toContain('101 bytes as JSON, the limit is 100');
    await expect((await fail.delay(100)).get(soon)).rejects.toThrow('declared failure "bad"');
    expect(await issueOf((await fail.delay(101)).get(soon))).toContain('101 bytes as JSON, the limit is 100');
  });

  test('of a name is 100 characters, of a label, a tag and a key more; one more is refused', async () => {
    const { app, echo } = echoing();
    const run = async () => 1;
    expect(app.task({ name: 'n'.repeat(100), queue: 'q'.repeat(100), run }).name).toHaveLength(100);
    expect(() => app.task({ name: 'n'.repeat(101), run })).toThrow(InvalidOptionError);
    expect(() => app.task({ name: 'n', queue: 'q'.repeat(101), run })).toThrow(InvalidOptionError);
    const all = {
      displayName: 'd'.repeat(200),
      tags: Array.from({ length: 20 }, (_, index) => `${index}`.padEnd(200, 't')),
      idempotencyKey: 'k'.repeat(1000),
    };
    for (const over of [
      { displayName: 'd'.repeat(201) },
      { tags: ['t'.repeat(201)] },
      { tags: [...all.tags, 'one more'] },
      { idempotencyKey: 'k'.repeat(1001) },
    ]) {
      await expect(echo.applyAsync(1, { ...all, ...over })).rejects.toThrow(InvalidOptionError);
    }
    expect(await stored(app)).toBe(0);
    await echo.applyAsync(1, all);
    expect(await stored(app)).toBe(1);
  });

  test('of a group is 10,000 members that are given as a list', async () => {
    const { app, echo } = echoing();
    const members = Array.from({ length: 10_001 }, (_, index) => echo.si(index));
    const inputs = Array.from({ length: 10_001 }, (_, index) => index);
    const all = [
      group(members),
      group.settled(members),
      group.any(members),
      group(Object.fromEntries(members.map((member, index) => [`m${index}`, member]))),
      map(echo, inputs),
      chunks(echo, inputs, 1),
      chain(echo.si(1), group(members)),
      group([group(members)]),
      echo.si(1).link(group(members)),
    ];
    for (const each of all) {
      const error = await each.delay().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(CanvasError);
      expect((error as CanvasError).message).toContain('A group has 10001 members, and the limit');
    }
    expect(await stored(app)).toBe(0);
    expect(await app.queue('default').counts()).toMatchObject({ 'waiting-children': 0 });
    // In chunks of two it is half as many jobs.
    await chunks(echo, inputs, 2).delay();
  });

  test('of a group holds at its edge, and not for members that are read while they are sent', async () => {
    const { app, echo } = echoing({ limits: { groupMembers: 3 } });
    await app.worker().start();
    const list = [1, 2, 3].map((n) => echo.si(n));
    expect(await (await group(list).delay()).get(soon)).toEqual([1, 2, 3]);
    await expect(group([...list, echo.si(4)]).delay()).rejects.toThrow('has 4 members');
    expect(await (await group(new Set([...list, echo.si(4)])).delay()).get(soon)).toEqual([1, 2, 3, 4]);
    const pass = app.task({
      name: 'list',
      input: z.array(z.any()),
      run: async (all): Promise<unknown[]> => all,
    });
    expect(await (await chain(pass, map(echo)).delay([1, 2, 3])).get(soon)).toEqual([1, 2, 3]);
    const wide = await chain(pass, map(echo)).delay([1, 2, 3, 4]);
    expect(await issueOf(wide.get(soon))).toContain('a list that makes 4 jobs, the limit is 3');
    expect(await (await chain(pass, chunks(echo, 2)).delay([1, 2, 3, 4])).get(soon)).toEqual([1, 2, 3, 4]);
  });

  test.each([
    [{ inputBytes: 0 }],
    [{ resultBytes: -1 }],
    [{ groupMembers: 0 }],
    [{ groupMembers: 1.5 }],
    [{ groupMembers: 'many' as never }],
  ])('that is %o is none', (limits) => {
    expect(() => engine.app({ limits })).toThrow(InvalidOptionError);
  });
});

onEveryEngine('a planted job', (engine) => {
  /** Adds a job with this text as its data, as another program could, past what BullMQ would write. */
  async function plant(id: string, data: string, queue = 'default', name = 'keep'): Promise<void> {
    const bare = engine.bareQueue(queue);
    const json = new Job(bare, name, {}, { attempts: 3 }, id).asJSON();
    await bare.getBackend().addJob({ ...json, data }, id);
  }

  function keeping() {
    const app = engine.app();
    const handler = vi.fn(async (_input: unknown) => 1);
    const keep = app.task({ name: 'keep', input: z.any(), retry: { attempts: 3 }, run: handler });
    return { app, keep, handler };
  }

  test('of 50 MiB fails for good with its size, in bounded memory, and the worker goes on', async () => {
    const { app, keep, handler } = keeping();
    await plant('long', `{"umbel":1,"input":"${'x'.repeat(50 * MEBIBYTE)}"}`);
    await plant('item', `{"umbel":1,"items":[1,"${'x'.repeat(33 * MEBIBYTE)}"]}`);
    await app.worker({ concurrency: 1 }).start();
    const own = await keep.delay(1);
    const memory = process.memoryUsage().rss;
    for (const [id, path] of [
      ['long', 'input'],
      ['item', 'input[1]'],
    ] as const) {
      const { cause } = (await app
        .result(id)
        .get({ timeout: '100s' }) // PostgreSQL compresses it: it takes seconds
        .catch((error: unknown) => error)) as TaskFailedError;
      expect(cause).toBeInstanceOf(ValidationError);
      expect((cause as ValidationError).issues[0]).toMatchObject({
        path,
        message: expect.stringContaining('limit is 33554432'),
      });
    }
    expect(await own.get(soon)).toBe(1);
    expect(handler).toHaveBeenCalledTimes(1);
    expect(process.memoryUsage().rss - memory).toBeLessThan(1000 * MEBIBYTE);
    expect(await engine.bareQueue('default').getJob('long')).toMatchObject({ attemptsMade: 1 });
  });

  test.each([
    ['its input', (deep: string) => `{"umbel":1,"input":${deep}}`],
    ['its items', (deep: string) => `{"umbel":1,"items":[${deep}]}`],
    ['its version', (deep: string) => `{"umbel":${deep}}`],
    ['a field that nobody knows', (deep: string) => `{"umbel":1,"other":${deep}}`],
    ['what replaces it', (deep: string) => `{"umbel":1,"replacement":${deep}}`],
  ])('with 100,000 levels in %s fails for good, and the worker goes on', async (_what, dataOf) => {
    const { app, keep, handler } = keeping();
    await plant('deep', dataOf(nestedText(100_000)));
    await app.worker({ concurrency: 1 }).start();
    const own = await keep.delay(1);
    const error = (await app
      .result('deep')
      .get(soon)
      .catch((reason: unknown) => reason)) as TaskFailedError;
    expect(error.message).toContain('its data cannot be used: it is nested deeper than 2000 levels');
    expect(await own.get(soon)).toBe(1);
    expect(handler).toHaveBeenCalledTimes(1);
    expect(await engine.bareQueue('default').getJob('deep')).toMatchObject({ attemptsMade: 1 });
    expect(await app.deadLetters.list()).toMatchObject([{ id: 'deep', state: 'failed' }]);
    expect(await app.result('deep').info()).toMatchObject({ id: 'deep', task: 'keep' });
  });

  test('of the internal queue with trees of 100,000 levels, or lists without an end, fails', async () => {
    const { app, keep } = keeping();
    const node = (levels: number) =>
      `${'{"path":"1","name":"keep","queue":"default","children":['.repeat(levels)}${']}'.repeat(levels)}`;
    const parent = '"parent":{"path":"1","queue":"default"}';
    const planted = [
      `{"umbel":1,"run":"r","input":[1],"expand":{${parent},"members":[${node(50_000)}]}}`,
      `{"umbel":1,"run":"r","input":[1],"expand":{${parent},"list":"0","chunkSize":0,"each":${node(1)}}}`,
      `{"umbel":1,"run":"r","after":{"list":"0","count":9007199254740991}}`,
    ];
    for (const [index, data] of planted.entries())
      await plant(`planted-${index}`, data, 'umbel', 'umbel:fan-out');
    await app.worker().start();
    for (const index of planted.keys()) {
      const error = (await app
        .result(`planted-${index}`)
        .get(soon)
        .catch((e: unknown) => e)) as TaskFailedError;
      expect(error.cause.message).toContain(`Job planted-${index} cannot be run: its `);
    }
    expect(await (await keep.delay(1)).get(soon)).toBe(1);
  });

  test('that claims a thousand million members fails at once, and the worker goes on', async () => {
    const { app, keep } = keeping();
    const claims = [
      '{"umbel":1,"run":"r","after":{"list":"0","count":1000000000}}',
      '{"umbel":1,"run":"r","after":{"list":"0","count":1000000000,"settled":true}}',
      '{"umbel":1,"run":"r","after":{"list":"0","count":1000000000,"sliced":true}}',
      '{"umbel":1,"run":"r","after":{"list":"0","count":1000000000,"sliced":true,"settled":true}}',
      '{"umbel":1,"run":"r","after":{"list":"0","count":1000000000,"chunked":true},"join":{"cancel":true}}',
      '{"umbel":1,"run":"r","after":{"list":"0","count":1000000000},"join":{"need":1000000000}}',
    ];
    for (const [index, data] of claims.entries())
      await plant(`claim-${index}`, data, 'umbel', 'umbel:collect');
    await app.worker().start();
    for (const index of claims.keys()) {
      const startedAt = cpuMs();
      await expect(app.result(`claim-${index}`).get(soon)).rejects.toThrow(TaskFailedError);
      expect(cpuMs() - startedAt).toBeLessThan(5000);
      const result = app.result(`claim-${index}`);
      await result.graph();
      await result.counts();
      await result.page({ offset: 999_999_000 });
    }
    expect(await (await keep.delay(1)).get(soon)).toBe(1);
  });

  test.runIf(engine.name === 'redis')(
    'with a result that stands for members without an end, or is 100,000 levels deep, is told so',
    async () => {
      const { app, keep } = keeping();
      await app.worker().start();
      const result = await keep.delay(1);
      await result.get(soon);
      const endless = '{"umbel:members":{"list":"0","count":1000000000}}';
      await plantResult(app, 'default', result.id, endless);
      expect(await result.get(soon)).toEqual(JSON.parse(endless)); // a value like any other
      await plantResult(
        app,
        'default',
        result.id,
        '{"umbel:members":{"list":"0","count":1000000000,"sliced":true}}',
      );
      await expect(result.get(soon)).rejects.toThrow('is missing from the store');
      await plantResult(
        app,
        'default',
        result.id,
        '{"umbel:members":{"list":"0","count":1000000000,"sliced":true,"settled":true}}',
      );
      await expect(result.get(soon)).rejects.toThrow('is missing from the store');
      await plantResult(app, 'default', result.id, nestedText(100_000));
      await expect(result.get(soon)).rejects.toThrow(CorruptJobError);
    },
  );
});

test('a wait that was given up stops reading the members of a large group', async () => {
  const store = memory();
  let reads = 0;
  let onRead = () => {};
  const counted: BackendFactory = (...args) => {
    const over = (backend: IQueueBackend): IQueueBackend => {
      const { getProcessedChildrenValues, forQueue } = backend;
      backend.getProcessedChildrenValues = (id) => {
        reads += 1;
        onRead();
        return getProcessedChildrenValues.call(backend, id);
      };
      backend.forQueue = (...place) => over(forQueue.apply(backend, place));
      return backend;
    };
    return over(store(...args));
  };
  const logger = { info() {}, warn() {}, error() {} };
  const worker = createApp({ name: 'left', connection: store, logger });
  const echo = worker.task({ name: 'echo', input: z.number(), run: async (n) => n });
  const inputs = Array.from({ length: 1500 }, (_, index) => index);
  const reader = createApp({ name: 'left', connection: counted, logger });
  try {
    await worker.worker({ concurrency: 100 }).start();
    const run = await map(echo, inputs).delay();
    await run.get(soon);
    const controller = new AbortController();
    onRead = () => controller.abort(new Error('not needed'));
    await expect(reader.result(run.id).get({ signal: controller.signal })).rejects.toThrow('not needed');
    onRead = () => {};
    const before = reads;
    expect(await reader.result(run.id).get(soon)).toEqual(inputs);
    // Thirty slices, twenty at a time: what was given up has read no further.
    expect(before).toBeLessThanOrEqual(20);
    expect(reads - before).toBe(30);
  } finally {
    await reader.close();
    await worker.close();
  }
});

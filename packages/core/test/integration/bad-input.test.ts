import {
  type AsyncResult,
  CorruptJobError,
  createApp,
  InvalidOptionError,
  RemoteError,
  TaskFailedError,
  UnrecoverableError,
  ValidationError,
} from '@umbel/core';
import { Job } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { sampled } from '../../../../test/support/length.js';

const soon = { timeout: '50s' } as const;

/** What is wrong is found before the store is asked, so a part of the rows is enough on a server. */
const rowsOn = <Row>(engine: Engine, rows: readonly Row[]): readonly Row[] =>
  engine.name === 'memory' ? rows : sampled(rows, 5);

const EMPTY = { waiting: 0, delayed: 0, 'waiting-children': 0, active: 0, completed: 0, failed: 0 };

async function failureOf(result: AsyncResult<unknown>): Promise<TaskFailedError> {
  const error = await result.get(soon).catch((reason: unknown) => reason);
  if (!(error instanceof TaskFailedError)) throw new Error(`not a TaskFailedError: ${error}`);
  return error;
}

function causesOf({ cause }: Error): number {
  return cause instanceof Error ? 1 + causesOf(cause) : 0;
}

/** An object with another one inside it, `levels` deep. */
function nested(levels: number, innermost: unknown = 1): unknown {
  let value = innermost;
  for (let level = 0; level < levels; level += 1) value = { inner: value };
  return value;
}

/** Forty lists, each with the one before it twice: a terabyte of JSON in a kilobyte of memory. */
function unfolding(): unknown {
  let list: unknown[] = [1];
  for (let level = 0; level < 40; level += 1) list = [list, list];
  return list;
}

function circular(): unknown {
  const list: unknown[] = [];
  list.push({ list });
  return list;
}

function hidden(key: string, value: unknown): unknown {
  return Object.defineProperty({ a: 1 }, key, { value, enumerable: false });
}

function throwing(): never {
  throw new Error('out of order');
}

function revokedProxy(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** What JSON cannot carry: what it is, the value, the path of the first issue below the whole, and what is said of it. */
const REFUSED: [what: string, make: () => unknown, path: string, message: string][] = [
  ['undefined in an array', () => ({ list: [1, undefined] }), '.list[1]', 'JSON cannot carry undefined'],
  ['a sparse array', () => Object.assign([], { 0: 1, 2: 3 }), '[1]', 'JSON cannot carry undefined'],
  ['an array of four billion holes', () => new Array(2 ** 32 - 1), '[0]', 'JSON cannot carry undefined'],
  ['NaN', () => ({ a: Number.NaN }), '.a', 'JSON cannot carry NaN'],
  ['Infinity', () => [Number.POSITIVE_INFINITY], '[0]', 'JSON cannot carry Infinity'],
  ['minus Infinity', () => Number.NEGATIVE_INFINITY, '', 'JSON cannot carry -Infinity'],
  ['a BigInt', () => ({ a: 1n }), '.a', 'JSON cannot carry a bigint'],
  ['a symbol', () => ({ a: Symbol('a') }), '.a', 'JSON cannot carry a symbol'],
  ['a function', () => ({ a: () => 1 }), '.a', 'JSON cannot carry a function'],
  ['a class', () => class Point {}, '', 'JSON cannot carry a function'],
  ['a Map', () => new Map([[1, 2]]), '', 'JSON cannot carry a Map; send plain data, or use a codec'],
  ['a Set', () => ({ a: new Set([1]) }), '.a', 'JSON cannot carry a Set'],
  ['a Date', () => ({ at: new Date(0) }), '.at', 'JSON cannot carry a Date'],
  ['a RegExp', () => [/x/], '[0]', 'JSON cannot carry a RegExp'],
  ['an Error', () => ({ error: new RangeError('x') }), '.error', 'JSON cannot carry a RangeError'],
  ['a promise', () => ({ a: Promise.resolve(1) }), '.a', 'JSON cannot carry a Promise'],
  ['a boxed text', () => ({ a: Object('x') }), '.a', 'JSON cannot carry a String'],
  ['a boxed number', () => Object(1), '', 'JSON cannot carry a Number'],
  ['a boxed boolean', () => Object(false), '', 'JSON cannot carry a Boolean'],
  ['a Buffer', () => ({ a: Buffer.from('x') }), '.a', 'JSON cannot carry a Buffer'],
  ['a typed array', () => new Float64Array(2), '', 'JSON cannot carry a Float64Array'],
  ['an instance of a class', () => [new (class Point {})()], '[0]', 'JSON cannot carry a Point'],
  ['an instance of a class with toJSON', () => ({ a: new URL('https://a.example') }), '.a', 'carry a URL'],
  ['an object with toJSON', () => ({ a: { toJSON: () => 1 } }), '.a', 'it has a toJSON method'],
  ['an object with a hidden toJSON', () => hidden('toJSON', () => 2), '', 'it has a toJSON method'],
  ['an array with toJSON', () => Object.assign([1], { toJSON: () => 2 }), '', 'it has a toJSON method'],
  ['a circle', circular, '[0].list', 'it contains itself'],
  ['65 levels deep', () => nested(65), '.inner'.repeat(64), 'it is nested deeper than 64 levels'],
  ['5,000 levels deep', () => nested(5000), '.inner'.repeat(64), 'it is nested deeper than 64 levels'],
  ['a key __proto__', () => JSON.parse('{"a":{"__proto__":{"b":1}}}'), '.a', 'it has an own key "__proto__"'],
  ['the form of an encoded value', () => ({ 'umbel:sealed': 'gzip:AAAA' }), '', 'the key "umbel:sealed"'],
  [
    'longer than the limit',
    () => 'x'.repeat(16 * 2 ** 20),
    '',
    'it takes at least 16777218 bytes as JSON, the limit is 1048576',
  ],
  ['a terabyte in a kilobyte', unfolding, '', 'bytes as JSON, the limit is 1048576'],
  [
    'a getter that throws',
    () => ({
      a: {
        get b() {
          return throwing();
        },
      },
    }),
    '.a.b',
    'it cannot be read: out of order',
  ],
  [
    'a Proxy that throws',
    () => ({ a: new Proxy({}, { ownKeys: throwing }) }),
    '.a',
    'it cannot be read: out of order',
  ],
  ['a revoked Proxy', () => [revokedProxy()], '[0]', 'it cannot be read: '],
];

/** What JSON carries: what it is, the value, and what arrives, if that is written in another way. */
const CARRIED: [what: string, make: () => unknown, arrives?: unknown][] = [
  ['undefined as a property', () => ({ a: 1, b: undefined }), { a: 1 }],
  ['null', () => ({ a: null, b: [null] })],
  ['a lone surrogate', () => ({ 'k\udc00': '\ud800', list: ['a\udfffb'] })],
  ['NUL, U+2028 and emoji', () => ['a\0b', '\u2028\u2029', '👩🏽‍🚀', { '\0': '\u0001\u001f\u007f' }]],
  ['the names of what every object has', () => ({ constructor: 1, toString: 'x', hasOwnProperty: null })],
  ['empty keys and keys with signs', () => ({ '': 1, 'a.b': 2, '[0]': 3, '{}': 4, ':': 5 })],
  ['the largest and the smallest numbers', () => [Number.MAX_VALUE, 5e-324, -1e21, 2 ** 53]],
  ['64 levels deep', () => nested(64)],
  ['one object in two places', () => ((one) => ({ a: one, b: [one] }))({ c: 1 })],
  ['an object without a prototype', () => Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
  ['a getter', () => Object.defineProperty({}, 'a', { get: () => 1, enumerable: true }), { a: 1 }],
  ['a Proxy of plain data', () => ({ a: new Proxy([1, { b: 2 }], {}) }), { a: [1, { b: 2 }] }],
  ['text in the form of an encoded value', () => ['{"umbel:sealed":"x"}', { a: { 'umbel:sealed': 'x' } }]],
];

onEveryEngine('an input', (engine) => {
  function keeping(options: { inputBytes?: number } = {}) {
    const app = engine.app({ limits: options });
    const seen: unknown[] = [];
    const keep = app.task({
      name: 'keep',
      input: z.unknown(),
      run: async (input) => {
        seen.push(input);
        return 'kept';
      },
    });
    return { app, keep, seen };
  }

  test.each(rowsOn(engine, REFUSED))(
    'that is %s is refused, and nothing is stored',
    async (_what, make, path, message) => {
      const { app, keep, seen } = keeping();
      const error = await keep.delay(make()).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ValidationError);
      const { task, subject, issues } = error as ValidationError;
      expect({ task, subject }).toEqual({ task: 'keep', subject: 'input' });
      expect(issues[0]).toEqual({ path: `input${path}`, message: expect.stringContaining(message) });
      expect(issues.length).toBeLessThanOrEqual(100);
      expect(await app.queue('default').counts()).toEqual(EMPTY);
      await app.worker().start();
      expect(await (await keep.delay('good')).get(soon)).toBe('kept');
      expect(seen).toEqual(['good']);
    },
  );

  test.each(rowsOn(engine, CARRIED))(
    'with %s arrives as it was sent',
    async (_what, make, arrives = make()) => {
      const { app, keep, seen } = keeping();
      await app.worker().start();
      await (await keep.delay(make())).get(soon);
      expect(seen).toStrictEqual([arrives]);
    },
  );

  test('that is undefined arrives as undefined', async () => {
    const { app, keep, seen } = keeping();
    await app.worker().start();
    await (await keep.delay(undefined)).get(soon);
    expect(seen).toEqual([undefined]);
  });

  test.each([
    ['plain text', 'x'.repeat(98), 'x'.repeat(99)],
    ['text of more bytes than characters', 'é'.repeat(49), 'é'.repeat(49).concat('x')],
    ['text that is escaped', '"'.repeat(49), '"'.repeat(49).concat('x')],
    ['lone surrogates', '\ud800'.repeat(16).concat('xx'), '\ud800'.repeat(16).concat('xxx')],
    ['numbers', Array(49).fill(1).concat(10).slice(1), Array(49).fill(1).concat(10)],
  ])('of %s may take as many bytes as the limit says, and not one more', async (_what, fits, doesNot) => {
    const size = Buffer.byteLength(JSON.stringify(fits));
    const { app, keep, seen } = keeping({ inputBytes: size });
    await app.worker().start();
    await (await keep.delay(fits)).get(soon);
    expect(seen).toEqual([fits]);
    const over = Buffer.byteLength(JSON.stringify(doesNot));
    await expect(keep.delay(doesNot)).rejects.toThrow(
      `input: it takes ${over} bytes as JSON, the limit is ${size}`,
    );
  });

  test('of a bulk is refused with its place, and nothing is stored', async () => {
    const { app, keep } = keeping();
    const sending = keep.sendMany([1, { a: 1n }, 3]);
    await expect(sending).rejects.toThrow('inputs[1].a: JSON cannot carry a bigint');
    expect(await app.queue('default').counts()).toEqual(EMPTY);
  });
});

onEveryEngine('a result', (engine) => {
  function making(make: () => unknown, resultBytes?: number) {
    const app = engine.app(resultBytes === undefined ? {} : { limits: { resultBytes } });
    const runs: string[] = [];
    const give = app.task({
      name: 'give',
      input: z.string(),
      retry: { attempts: 3, backoff: 'fixed', delay: 1 },
      run: async (kind) => {
        runs.push(kind);
        return kind === 'bad' ? (make() as string) : 'well';
      },
    });
    return { app, give, runs };
  }

  test.each(rowsOn(engine, REFUSED))(
    'that is %s fails its job for good, without a retry',
    async (_what, make, path, message) => {
      const { app, give, runs } = making(make);
      await app.worker({ concurrency: 1 }).start();
      const result = await give.delay('bad');
      const { task, jobId, cause } = await failureOf(result);
      expect({ task, jobId }).toEqual({ task: 'give', jobId: result.id });
      expect(cause).toBeInstanceOf(ValidationError);
      expect(cause).toMatchObject({ task: 'give', subject: 'result' });
      expect((cause as ValidationError).issues[0]).toEqual({
        path: `result${path}`,
        message: expect.stringContaining(message),
      });
      expect(await engine.bareQueue('default').getJob(result.id)).toMatchObject({ attemptsMade: 1 });
      expect(await (await give.delay('good')).get(soon)).toBe('well');
      expect(runs).toEqual(['bad', 'good']);
    },
  );

  test.each(rowsOn(engine, CARRIED))(
    'with %s arrives as the handler gave it',
    async (_what, make, arrives = make()) => {
      const { app, give } = making(make);
      await app.worker().start();
      expect(await (await give.delay('bad')).get(soon)).toStrictEqual(arrives);
    },
  );

  test.each([['constructor'], ['__proto__'], ['toString'], ['other']])(
    'that is a failure "%s", which its task does not declare, is told so',
    async (name) => {
      const app = engine.app();
      const task = app.task({
        name: 'fail',
        failures: { known: z.null() },
        run: async (_input, { fail }) => (fail as (failure: string) => never)(name),
      });
      await app.worker().start();
      const { cause } = await failureOf(await task.delay());
      expect(cause.message).toBe(
        `Expected \`failure\` to be one that task "fail" declares (known), got "${name}".`,
      );
    },
  );

  test.runIf(engine.name === 'redis')('that was spoilt in the store is told so', async () => {
    const { app, give } = making(() => 1);
    await app.worker().start();
    const result = await give.delay('good');
    await result.get(soon);
    const redis = new Redis(inject('redisUrl'));
    await redis.hset(`umbel:{${app.name}}:default:${result.id}`, 'returnvalue', '{broken');
    redis.disconnect();
    await expect(result.get(soon)).rejects.toThrow(CorruptJobError);
    await expect(result.get(soon)).rejects.toThrow('its result is not valid JSON');
  });

  test('may take as many bytes as the limit says, and not one more', async () => {
    const { app, give } = making(() => 'x'.repeat(99), 100);
    await app.worker().start();
    expect((await failureOf(await give.delay('bad'))).cause.message).toContain(
      'result: it takes 101 bytes as JSON, the limit is 100',
    );
    const { app: other, give: giveLess } = making(() => 'x'.repeat(98), 100);
    await other.worker().start();
    expect(await (await giveLess.delay('bad')).get(soon)).toHaveLength(98);
  });
});

/** Words that have a meaning in the keys of a BullMQ queue or in JavaScript, and text that few programs expect. */
const ODD_TEXTS = [
  ...['wait', 'active', 'delayed', 'marker', 'events', 'completed', 'stalled', 'meta', 'id', 'failed'],
  ...['0', '12', '-1', 'a:b', '{}', '*', ' ', '\0', 'a\nb', '🌼', '\ud800', '__proto__', 'constructor'],
].map((text): [shown: string, text: string] => [JSON.stringify(text), text]);

/** What no task and no queue is called. */
const BAD_NAMES = ['a:b', '{}', '{a}', 'a b', '', 'a\n', 'a\0', 'é', '🌼', '*', 'x'.repeat(101), 5, null].map(
  (name): [shown: string, name: string] => [JSON.stringify(name), name as string],
);

onEveryEngine('text', (engine) => {
  test.each(rowsOn(engine, ODD_TEXTS))(
    'such as %s is as good as any for an idempotency key, a display name and a header',
    async (_shown, text) => {
      const app = engine.app();
      const seen: unknown[] = [];
      const tell = app.task({
        name: 'tell',
        run: async (_input, { idempotencyKey, headers }) => {
          seen.push([idempotencyKey, headers]);
        },
      });
      const headers = text === '__proto__' ? { x: text } : { [text]: text, x: text };
      const options = { idempotencyKey: text, displayName: text, headers };
      const first = await tell.applyAsync(undefined, options);
      const again = await tell.applyAsync(undefined, options);
      expect(again.id).toBe(first.id);
      expect(await app.queue('default').counts()).toEqual({ ...EMPTY, waiting: 1 });
      expect(await first.info()).toMatchObject({ task: 'tell', displayName: text });
      await app.worker().start();
      await first.get(soon);
      const next = await tell.delay();
      await next.get(soon);
      expect(seen).toStrictEqual([
        [text, headers],
        [next.id, {}],
      ]);
    },
  );

  test('of 1,000 characters is an idempotency key and a header, of 1,001 no key', async () => {
    const app = engine.app();
    const tell = app.task({
      name: 'tell',
      run: async (_input, ctx) => [ctx.idempotencyKey, ctx.headers.x ?? ''],
    });
    await app.worker().start();
    const text = 'é'.repeat(1000);
    const sent = await tell.applyAsync(undefined, { idempotencyKey: text, headers: { x: text } });
    expect(await sent.get(soon)).toEqual([text, text]);
    const { completed } = await app.queue('default').counts();
    for (const options of [
      { idempotencyKey: `${text}x` },
      { idempotencyKey: '' },
      { idempotencyKey: 5 as never },
      { displayName: 'x'.repeat(201) },
      { displayName: '' },
      { headers: { x: 5 as never } },
      { headers: 'x' as never },
      { headers: JSON.parse('{"__proto__":"x"}') as Record<string, string> },
    ]) {
      await expect(tell.applyAsync(undefined, options)).rejects.toThrow(InvalidOptionError);
    }
    expect(await app.queue('default').counts()).toEqual({ ...EMPTY, completed });
  });

  test.each(rowsOn(engine, BAD_NAMES))(
    'such as %s is no name of a task, a queue or an app',
    async (_shown, name) => {
      const app = engine.app();
      const run = async () => 1;
      const tick = app.task({ name: 'tick', run });
      for (const declare of [
        () => app.task({ name, run }),
        () => app.defineTask({ name }),
        () => app.task({ name: 'other', queue: name, run }),
        () => app.worker({ queues: [name] }),
        () => app.queue(name),
        () => createApp({ name }),
        () => createApp({ name: 'site', queues: [name] }),
        () => createApp({ name: 'site', routes: { '*': name } }),
      ]) {
        expect(declare).toThrow(InvalidOptionError);
      }
      await expect(app.send(name)).rejects.toThrow(InvalidOptionError);
      await expect(tick.applyAsync(undefined, { queue: name })).rejects.toThrow(InvalidOptionError);
      const routing = engine.sameApp({ routes: () => name ?? '' });
      await expect(routing.send('tick')).rejects.toThrow(InvalidOptionError);
      expect(await app.queue('default').counts()).toEqual(EMPTY);
    },
  );

  test('that Umbel keeps for its own queue is no name of another', async () => {
    const app = engine.app();
    const run = async () => 1;
    const tick = app.task({ name: 'tick', run });
    for (const declare of [
      () => app.task({ name: 'other', queue: 'umbel', run }),
      () => app.worker({ queues: ['umbel'] }),
      () => createApp({ name: 'site', queues: ['umbel'] }),
      () => createApp({ name: 'site', routes: { '*': 'umbel' } }),
    ]) {
      expect(declare).toThrow(InvalidOptionError);
    }
    await expect(tick.applyAsync(undefined, { queue: 'umbel' })).rejects.toThrow(InvalidOptionError);
  });

  test.each([['__proto__'], ['constructor'], ['toString'], ['0'], ['12'], ['wait'], ['meta'], ['-'], ['.']])(
    'such as "%s" names a task and a queue',
    async (name) => {
      const app = engine.app({ queues: [name] });
      const task = app.task({ name, queue: name, input: z.string(), run: async (text) => `${text}!` });
      await app.worker().start();
      expect(await (await task.delay('hello')).get(soon)).toBe('hello!');
      expect(await app.queue(name).counts()).toEqual({ ...EMPTY, completed: 1 });
    },
  );
});

interface Planted {
  readonly queue?: string;
  readonly name?: string;
  readonly data: unknown;
}

/** Adds a job as another program would, with retries, and starts a worker that takes it first. */
async function plant(engine: Engine, { queue = 'default', name = 'keep', data }: Planted) {
  const app = engine.app();
  const handler = vi.fn(async ({ x }: { x: number }) => x);
  const keep = app.task({
    name: 'keep',
    input: z.object({ x: z.number() }),
    retry: { attempts: 3 },
    run: handler,
  });
  const bare = engine.bareQueue(queue);
  await bare.add(name, data, { attempts: 5, jobId: 'planted' });
  return { app, keep, handler, bare };
}

const step = (more: object): Planted => ({ data: { umbel: 1, run: 'r', after: { step: '0' }, ...more } });
const inside = (name: string, more: object = {}): Planted => ({
  queue: 'umbel',
  name,
  data: { umbel: 1, ...more },
});
const member = { path: '1.0', name: 'keep', queue: 'default' };
const fanOut = (expand: unknown): Planted =>
  inside('umbel:fan-out', { run: 'r', after: { step: '0' }, expand });

/** Jobs that look like Umbel's and cannot be run: what is wrong, the job, and the reason it fails with. */
const CORRUPT: [what: string, planted: Planted, reason: string][] = [
  ['of a later version', { data: { umbel: 99, input: { x: 1 } } }, 'its data has version 99'],
  ['with a version in text', { data: { umbel: '1', input: { x: 1 } } }, 'its data has version "1"'],
  ['with null as version', { data: { umbel: null, input: { x: 1 } } }, 'its data has version null'],
  ['with an object as version', { data: { umbel: {}, input: { x: 1 } } }, 'its data has version {}'],
  ['without the input that its task needs', { data: { umbel: 1 } }, 'The input of task "keep" is not valid'],
  ['with null as input', { data: { umbel: 1, input: null } }, 'The input of task "keep" is not valid'],
  ['with an input of another kind', { data: { umbel: 1, input: { x: 'one' } } }, 'input.x: '],
  ['of an unknown task', { name: 'gone', data: { umbel: 1 } }, 'Task "gone" has no handler in this worker'],
  ['with a name in no letters', { name: 'a:b {}\n', data: { umbel: 1 } }, 'has no handler in this worker'],
  ...['__proto__', 'constructor', 'toString', 'umbel:run'].map((name): [string, Planted, string] => [
    `of the task "${name}", which there is not`,
    { name, data: { umbel: 1, input: { x: 1 } } },
    `Task "${name}" has no handler in this worker (known: "keep")`,
  ]),
  ...Object.entries<[value: unknown, expected: string][]>({
    headers: [5, null, 'x', ['x'], { a: 1 }, { a: null }].map((v) => [v, 'an object whose values are text']),
    label: [5, null, {}].map((value) => [value, 'text']),
    timeout: ['x', -1, 0, null].map((value) => [value, 'a time of more than zero']),
    expires: ['soon', null, 1e300, {}].map((value) => [value, 'a moment']),
    revoked: ['yes', true, null].map((value) => [value, 'a moment']),
    key: [[7, 'text']],
    digest: [[{}, 'text']],
    ignoreResult: [1, false, null].map((value) => [value, 'true']),
    parent: [[5, 'text']],
    root: [[{}, 'text']],
    run: [7, null].map((value) => [value, 'text']),
    into: [[5, 'text']],
    after: [
      ...[5, null, 'x', [], {}, { step: 1 }, { list: 3 }, { list: '0' }, { list: '0', count: -1 }],
      ...[
        { list: '0', count: 1.5 },
        { record: '0' },
        { record: '0', keys: 'ab' },
        { record: '0', keys: [1] },
      ],
      { ignored: 'yes' },
    ].map((value) => [value, 'a source of input']),
    callbacks: [5, null, { success: 5 }, { success: [5] }, { failure: [{ path: '' }] }].map((value) => [
      value,
      'lists of callbacks',
    ]),
  }).flatMap(([field, values]) =>
    values.map(([value, expected]): [string, Planted, string] => [
      `with ${JSON.stringify(value)} as "${field}"`,
      { data: { umbel: 1, input: { x: 1 }, [field]: value } },
      `its field "${field}" is not ${expected}`,
    ]),
  ),
  ['that waits for steps of no run', { data: { umbel: 1, after: { step: '0' } } }, 'a step without'],
  ['that waits for a step it has not', step({}), 'is missing from the store'],
  ['that waits for a billion steps', step({ after: { list: '0', count: 1e9 } }), 'is missing from the store'],
  [
    'with an input in the form of an encoded value',
    { data: { umbel: 1, input: { 'umbel:sealed': 'rot13:AAAA' } } },
    'written with the codec "rot13", which this app does not have',
  ],
  ['in the internal queue of an unknown name', inside('umbel:other'), 'there is no internal job'],
  ['in the internal queue with a name of JavaScript', inside('__proto__'), 'there is no internal job'],
  ['in the internal queue of a task', inside('keep', { input: { x: 1 } }), 'there is no internal job "keep"'],
  ['that is a run without its fields', inside('umbel:run'), 'a step without earlier steps'],
  ['that is a collection without its fields', inside('umbel:collect'), 'a step without earlier steps'],
  ['that is a fan-out without its fields', inside('umbel:fan-out'), 'a fan-out without members'],
  ...[
    ...[5, null, {}, { members: [] }, { parent: {}, members: [] }],
    ...[5, {}, { ...member, path: 0 }, { ...member, name: null }, { ...member, queue: 'a:b' }].map((bad) => ({
      parent: { path: '1', queue: 'default' },
      members: [member, bad],
    })),
    ...[{ after: {} }, { into: 5 }, { options: 5 }, { children: {} }, { children: [5] }].map((bad) => ({
      parent: { path: '1', queue: 'default' },
      members: [{ ...member, ...bad }],
    })),
    { parent: { path: '1', queue: 'a:b' }, members: [] },
  ].map((expand): [string, Planted, string] => [
    `that is a fan-out of ${JSON.stringify(expand)}`,
    fanOut(expand),
    'its field "expand" is not the expansion of a fan-out',
  ]),
];

/** Data of jobs that another program has added. */
const FOREIGN: [what: string, data: unknown][] = [
  ['null', null],
  ['a number', 5],
  ['text', 'umbel'],
  ['an array', [{ umbel: 1 }]],
  ['an empty object', {}],
  ['an object without a version', { input: { x: 1 }, headers: {} }],
  ['an object with a version in another place', { data: { umbel: 1 } }],
];

const record = { name: 'RangeError', message: 'planted' };
const origin = { task: 'other', jobId: 'other' };
const caused = (levels: number): object => (levels === 0 ? record : { ...record, cause: caused(levels - 1) });

/** Failures that are stored with a job and cannot have been written by Umbel. */
const UNREADABLE: [what: string, failure: unknown][] = [
  ['a number', 5],
  ['null', null],
  ['a list', [record]],
  ['an empty object', {}],
  ['an error without its origin', { error: record }],
  ['an origin of numbers', { task: 5, jobId: 7, error: record }],
  ['an origin without an error', origin],
  ['null as error', { ...origin, error: null }],
  ['an error without a message', { ...origin, error: { name: 'Function' } }],
  ['an error with a name of another kind', { ...origin, error: { name: {}, message: 'planted' } }],
  ['an error that no codec opens', { ...origin, error: { 'umbel:sealed': 5 } }],
];

/** The same, where the error itself can be read: what is wrong, the error, and the error that is rebuilt. */
const HALF_READABLE: [what: string, error: object, expected: object][] = [
  ...['Function', '__proto__', 'constructor', 'process', 'toString', ''].map(
    (name): [string, object, object] => [
      `of the name "${name}"`,
      { name, message: 'planted' },
      { name, message: 'planted', constructor: RemoteError },
    ],
  ),
  [
    'with issues that are no list',
    { name: 'ValidationError', message: 'planted', issues: 5 },
    { constructor: RemoteError },
  ],
  [
    'with issues of another kind',
    { name: 'ValidationError', message: 'planted', issues: [null, { path: 5 }] },
    { constructor: RemoteError },
  ],
  [
    'with a task and a subject of another kind',
    {
      name: 'ValidationError',
      message: 'x',
      issues: [{ path: 'a', message: 'planted' }],
      task: 5,
      subject: [],
    },
    { constructor: ValidationError, task: 'unknown', subject: 'input' },
  ],
  [
    'with a declared failure of another kind',
    { name: 'ExpectedFailureError', message: 'planted', failure: {} },
    { constructor: RemoteError },
  ],
  ['with a stack of another kind', { ...record, stack: { a: 1 } }, { stack: expect.any(String) }],
  ['with a code of another kind', { ...record, code: { a: 1 } }, { code: undefined }],
  ['with a cause of another kind', { ...record, cause: 5 }, { cause: undefined }],
  ['with a thousand causes', caused(1000), { cause: expect.any(RangeError) }],
];

onEveryEngine('a job that another program has planted', (engine) => {
  test.each(rowsOn(engine, CORRUPT))(
    '%s fails at once, with the reason, and is kept',
    async (_what, planted, reason) => {
      const { app, keep, handler, bare } = await plant(engine, planted);
      await app.worker({ concurrency: 1 }).start();
      const own = await keep.delay({ x: 1 });
      expect(await own.get(soon)).toBe(1);
      const error = await failureOf(app.result('planted'));
      expect(error.message).toContain(reason);
      expect(error.cause.name).not.toBe('TypeError');
      const job = await bare.getJob('planted');
      expect(job).toMatchObject({ attemptsMade: 1, attemptsStarted: 1, data: planted.data });
      expect(job?.failedReason).toContain(reason);
      expect(handler).toHaveBeenCalledTimes(1);
      expect(await app.result('planted').state()).toBe(await bare.getJobState('planted'));
    },
  );

  test.each(FOREIGN)('with %s as data goes back to its queue, uncharged', async (_what, data) => {
    for (const queue of ['default', 'umbel']) {
      const { app, keep, bare } = await plant(engine, { queue, data });
      await app.worker({ concurrency: 1 }).start();
      expect(await (await keep.delay({ x: 1 })).get(soon)).toBe(1);
      await vi.waitFor(async () => expect(await bare.getJobState('planted')).toBe('delayed'));
      const job = await bare.getJob('planted');
      expect(job).toMatchObject({ attemptsMade: 0, name: 'keep' });
      expect(job?.data).toEqual(data);
      expect(job?.failedReason).toBeUndefined();
    }
  });

  test.each([['{broken'], ['{"umbel":1,"input":{"x":1}'], ['undefined'], ['\0'], [' ']])(
    'with %j as data, which is no JSON, fails at once and is kept',
    async (text) => {
      const { app, keep, handler, bare } = await plant(engine, { name: 'other', data: {} });
      const json = new Job(bare, 'keep', {}, { attempts: 5 }, 'broken').asJSON();
      const backend = bare.getBackend();
      await backend.addJob({ ...json, data: text }, 'broken');
      await app.worker({ concurrency: 1 }).start();
      expect(await (await keep.delay({ x: 1 })).get(soon)).toBe(1);
      const error = await failureOf(app.result('broken'));
      expect(error.message).toContain('Job broken cannot be run: its data is not valid JSON: ');
      expect(await backend.getJobData('broken')).toMatchObject({ attemptsMade: 1, data: text });
      expect(await app.result('broken').state()).toBe('failed');
      expect(handler).toHaveBeenCalledTimes(1);
    },
  );

  test.each([
    ['text as attempts', { attempts: 'many' }],
    ['an object as attempts', { attempts: {} }],
    ['a fraction as attempts', { attempts: 1.5 }],
    ['no known back-off', { attempts: 2, backoff: { type: 'sometimes', delay: 'later', jitter: 0 } }],
    ['text as back-off', { attempts: 2, backoff: 'later' }],
    ['a list as back-off', { attempts: 2, backoff: [1] }],
    ['a wait below zero', { attempts: 2, backoff: { type: 'fixed', delay: -5, jitter: 0 } }],
  ])('with %s is tried a few times at most', async (_what, options) => {
    const app = engine.app();
    const runs: number[] = [];
    app.task({
      name: 'fail',
      retry: { attempts: 2, delay: 1 },
      run: async (_input, { attempt }) => {
        runs.push(attempt);
        if (attempt >= 5) throw new UnrecoverableError('it loops');
        throw new Error('not this time');
      },
    });
    const planted = engine
      .bareQueue('default')
      .add('fail', { umbel: 1 }, { jobId: 'planted', ...options } as object);
    // This store has a column of whole numbers for it.
    if (engine.isSql && !Number.isInteger(options.attempts)) {
      await expect(planted).rejects.toThrow('invalid input syntax for type integer');
      return;
    }
    await planted;
    await app.worker().start();
    const { cause } = await failureOf(app.result('planted'));
    expect(cause.message).toBe('not this time');
    expect(runs.length).toBeLessThanOrEqual(2);
  });

  test('is given back to its own program as it was, when it has failed here and is replayed', async () => {
    const failing = engine.app();
    const { 0: list, 1: nothing } = [[1, 2], null];
    const bare = engine.bareQueue('default');
    await bare.add('list', list, { jobId: 'list' });
    await bare.add('nothing', nothing, { jobId: 'nothing' });
    await failing.worker({ queues: ['default'], fallback: throwing }).start();
    for (const id of ['list', 'nothing']) await failureOf(failing.result(id));
    await failing.close();
    const app = engine.sameApp();
    await app.deadLetters.replay('list');
    await app.deadLetters.replay('nothing');
    expect(await app.queue('default').counts()).toEqual({ ...EMPTY, waiting: 2 });
    expect((await bare.getJob('list'))?.data).toEqual(list);
    expect((await bare.getJob('nothing'))?.data).toBe(nothing);
  });
});

onEveryEngine('a failed job', (engine) => {
  async function failing(failure: unknown) {
    const app = engine.app();
    const task = app.task({
      name: 'fail',
      run: async () => {
        throw new Error('its own');
      },
    });
    await app.worker().start();
    const result = await task.delay();
    await failureOf(result);
    const job = await engine.bareQueue('default').getJob(result.id);
    await job?.updateData({ ...job.data, failure });
    return { app, result };
  }

  describe.each([['a handle'], ['the dead letters']])('seen through %s', (through) => {
    test.each(rowsOn(engine, UNREADABLE))(
      'whose stored failure is %s is told with its reason',
      async (_what, failure) => {
        const { app, result } = await failing(failure);
        if (through === 'the dead letters') {
          const [letter] = await app.deadLetters.list();
          expect(letter).toMatchObject({ id: result.id, task: 'fail', state: 'failed' });
          expect(letter?.error).toEqual({ name: 'Error', message: 'its own' });
          return;
        }
        const error = await failureOf(result);
        expect(error).toMatchObject({ task: 'fail', jobId: result.id, state: 'failed' });
        expect(error.cause.message).toBe('its own');
        expect(await result.state()).toBe('failed');
        expect(await result.outcome()).toMatchObject({ ok: false, failure: undefined });
      },
    );
  });

  test.each(rowsOn(engine, HALF_READABLE))(
    'whose stored error is one %s is told all the same',
    async (_what, error, expected) => {
      const { app, result } = await failing({ ...origin, state: 'completed', attempts: 'x', error });
      const { cause, task, state } = await failureOf(result);
      expect(cause).toBeInstanceOf(Error);
      expect(cause.message).toContain('planted');
      for (const [key, value] of Object.entries(expected)) expect(cause[key as keyof Error]).toEqual(value);
      expect(causesOf(cause)).toBeLessThanOrEqual(5);
      expect({ task, state }).toEqual({ task: 'other', state: 'failed' });
      expect(await result.state()).toBe('failed');
      expect(await app.deadLetters.list()).toMatchObject([{ id: result.id, state: 'failed' }]);
    },
  );

  test('whose envelope was spoilt is told without what cannot be read', async () => {
    const { app, result } = await failing(undefined);
    const job = await engine.bareQueue('default').getJob(result.id);
    const spoilt = { headers: 5, label: [], run: 7, root: {}, parent: null };
    await job?.updateData({ umbel: 1, ...spoilt, input: { 'umbel:sealed': 'rot13:AAAA' } });
    const { id } = result;
    expect(await result.info()).toMatchObject({ id, displayName: 'fail', headers: {}, rootId: id });
    expect((await failureOf(result)).cause.message).toBe('its own');
    expect(await app.deadLetters.list()).toMatchObject([{ id, input: undefined }]);
  });

  test('with lines of another program in its log shows them as they are', async () => {
    const { result } = await failing(undefined);
    const job = await engine.bareQueue('default').getJob(result.id);
    const lines = ['{broken', '{"level":"info"}', '[1]', '{"umbel:sealed":5}'];
    for (const line of lines) await job?.log(line);
    expect(await result.logs()).toEqual(lines);
  });
});

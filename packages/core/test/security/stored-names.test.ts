/** No text that a caller chooses becomes a key of the store as it is: it is checked, or hashed. */
import { chain, group } from '@umbel/canvas';
import { type App, createApp, InvalidOptionError, UnknownJobError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { memory, onEveryEngine } from '../../../../test/engines.js';
import { sampled } from '../../../../test/support/length.js';
import { JOB_SETS, OTHER_KEYS } from '../../../../test/support/queue-keys.js';
import { onRedis } from '../support/planting.js';

const soon = { timeout: '50s' } as const;

const RESERVED = [...JOB_SETS, ...OTHER_KEYS];

/** Text that breaks keys, protocols, terminals or patterns. */
const HOSTILE = [
  ...[
    'a:b',
    ':',
    '{}',
    '{a}',
    '}{',
    'a\0b',
    '\0',
    'a\nb',
    '\r\nFLUSHALL\r\n',
    '*',
    '[a-z]*',
    '?',
    ' ',
    'é',
    '🌼',
  ],
  ...['../../x', '\u001b[31m', '\u202e', 'a'.repeat(10_240), '🌼'.repeat(3000)],
];

const shown = (text: string): [shown: string, text: string] => [JSON.stringify(text.slice(0, 30)), text];

onEveryEngine('a name', (engine) => {
  const hostile = engine.name === 'memory' ? HOSTILE : sampled(HOSTILE, 3);

  test.each(hostile.map(shown))(
    'such as %s is none of an app, a prefix, a queue or a task',
    async (_shown, text) => {
      const app = engine.app();
      const run = async () => 1;
      const tick = app.task({ name: 'tick', run });
      const connection = memory();
      for (const declare of [
        () => createApp({ name: text, connection }),
        () => createApp({ name: 'site', connection, queues: [text] }),
        () => createApp({ name: 'site', connection, routes: { '*': text } }),
        () => app.task({ name: text, run }),
        () => app.task({ name: 'other', queue: text, run }),
        () => app.defineTask({ name: text }),
        () => app.signature(text),
        () => app.worker({ queues: [text] }),
        () => app.queue(text),
      ]) {
        expect(declare).toThrow(InvalidOptionError);
      }
      await expect(app.send(text)).rejects.toThrow(InvalidOptionError);
      await expect(tick.applyAsync(undefined, { queue: text })).rejects.toThrow(InvalidOptionError);
      await expect(group([tick.set({ queue: 'q' })]).applyAsync(undefined, { queue: text })).rejects.toThrow(
        InvalidOptionError,
      );
    },
  );

  test.each(HOSTILE.filter((text) => !/^[A-Za-z0-9_.:{}-]{1,200}$/.test(text)).map(shown))(
    'such as %s is no prefix',
    (_shown, prefix) => {
      expect(() => createApp({ name: 'site', connection: memory(), prefix })).toThrow(
        expect.objectContaining({ name: 'InvalidOptionError', option: 'prefix' }),
      );
    },
  );

  test('of 200 signs is a prefix, of 201 none', () => {
    const make = (prefix: string) => createApp({ name: 'site', connection: memory(), prefix });
    expect(make(`${'p'.repeat(190)}:{a.b-c_d}`.slice(0, 200)).name).toBe('site');
    expect(() => make('p'.repeat(201))).toThrow(InvalidOptionError);
    expect(() => make('')).toThrow(InvalidOptionError);
    expect(() => make(5 as never)).toThrow(InvalidOptionError);
  });

  test('that is a key of a BullMQ queue works as the name of a queue and of a task', async () => {
    const app = engine.app({ queues: RESERVED });
    const tasks = RESERVED.map((name) =>
      app.task({ name, queue: name, input: z.string(), run: async (text) => `${text}!` }),
    );
    await app.worker().start();
    for (const task of tasks) expect(await (await task.delay(task.name)).get(soon)).toBe(`${task.name}!`);
  });
});

/** The keys of a Redis that belong to an app, without what they begin with. */
async function keysOf(app: App): Promise<string[]> {
  const keys = await onRedis((redis) => redis.keys(`umbel:{${app.name}}:*`));
  return keys.map((key) => key.slice(`umbel:{${app.name}}:`.length)).sort();
}

const RANDOM = '[0-9A-Za-z]{21}';
const HASHED = '[A-Za-z0-9_-]{32}';
/** A queue, then one of BullMQ's keys of it, or an id that we have made, with BullMQ's keys of a job. */
const OWN_KEY = new RegExp(
  `^(?:default|umbel|umbel\\.(?:tags|control|workers|replies)):(?:index|due|queued|${RESERVED.join('|')}|de:${HASHED}|` +
    `(?:${RANDOM}|key-${HASHED}|${HASHED}\\.\\d+)(?:[.][0-9a-z.+^~!/-]*)?(?::(?:logs|lock|dependencies|processed|failed|unsuccessful))?)$`,
);

onEveryEngine('text that a caller chooses', (engine) => {
  const texts = [...RESERVED, ...HOSTILE, '__proto__', 'constructor'];
  const chosen = engine.name === 'memory' ? texts : sampled(texts, 3);

  test.each(chosen.map(shown))(
    'such as %s is hashed as a key, a tag and what tells calls apart',
    async (_shown, whole) => {
      const app = engine.app();
      const tick = app.task({ name: 'tick', input: z.string().optional(), run: async () => 'done' });
      const [key, tag] = [whole.slice(0, 1000), whole.slice(0, 200)];
      const sent = [
        await tick.applyAsync(undefined, { idempotencyKey: key, tags: [tag], displayName: tag }),
        await tick.applyAsync(undefined, { unique: { key } }),
        await tick.applyAsync(undefined, { throttle: { for: '1h', key: `${key}t`.slice(-1000) } }),
        await tick.applyAsync(undefined, { debounce: { for: 5, key: `${key}d`.slice(-1000) } }),
        await chain(tick, group([tick.tag(tag), tick.si(whole)])).applyAsync('x', { idempotencyKey: key }),
      ];
      if (engine.name === 'redis') {
        for (const stored of await keysOf(app)) expect(stored).toMatch(OWN_KEY);
      }
      for (const { id } of sent) expect(id).toMatch(new RegExp(`^(?:${RANDOM}|key-${HASHED})`));
      const again = await tick.applyAsync(undefined, { idempotencyKey: key, tags: [tag] });
      expect(again.id).toBe(sent[0]?.id);
      const found = new Set<string>();
      for await (const { id } of app.find({ tag })) found.add(id);
      expect(found).toEqual(new Set([sent[0]?.id, sent[4]?.id]));
      await app.worker().start();
      for (const result of sent) await result.get(soon);
      if (engine.name === 'redis') {
        for (const stored of await keysOf(app)) expect(stored).toMatch(OWN_KEY);
      }
    },
  );

  const parts = ['dependencies', 'failed', 'lock', 'logs', 'processed', 'unsuccessful'];
  const noIds = [...RESERVED, 'de:x', 'metrics:completed', 'repeat:x', '', 'x'.repeat(10_001)];
  test.each([...noIds, ...parts.map((part) => `x:${part}`)].map(shown))(
    'such as %s is no id of a job, and nothing is removed by it',
    async (_shown, id) => {
      const app = engine.app();
      const tick = app.task({ name: 'tick', run: async () => 1 });
      await app.worker().start();
      await (await tick.delay()).get(soon);
      const before = engine.name === 'redis' ? await keysOf(app) : [];
      expect(() => app.result(id)).toThrow(InvalidOptionError);
      expect(() => app.result(tick, id)).toThrow(InvalidOptionError);
      await expect(app.deadLetters.replay(id)).rejects.toThrow(UnknownJobError);
      await expect(app.deadLetters.discard(id)).rejects.toThrow(UnknownJobError);
      if (engine.name === 'redis') expect(await keysOf(app)).toEqual(before);
      expect(await app.queue('default').counts()).toMatchObject({ completed: 1 });
    },
  );

  test.each(['no-such-job', '{}', 'a\nb', '\0', '🌼', '*', '__proto__', 'a:b', '../x'].map(shown))(
    'such as %s is the id of no job that there is',
    async (_shown, id) => {
      const app = engine.app();
      app.task({ name: 'tick', run: async () => 1 });
      const result = app.result(id);
      await expect(result.get(soon)).rejects.toThrow(UnknownJobError);
      await result.forget();
      await expect(app.deadLetters.discard(id)).rejects.toThrow(UnknownJobError);
    },
  );
});

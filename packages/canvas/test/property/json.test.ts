/** Signatures as JSON and back, whatever they are made of. */
import {
  chain,
  chord,
  chunks,
  fallback,
  flat,
  fromJSON,
  group,
  loop,
  map,
  match,
  sleep,
  starmap,
  waitFor,
  when,
} from '@umbel/canvas';
import type { Signature } from '@umbel/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { app } from '../support/tasks.js';

type Mixed = Signature<string, unknown, unknown>;

/** The functions without what they ask of types: here everything takes and gives anything. */
const loose = { chord, fallback, flat, loop, match, starmap, when } as unknown as Record<
  'chord' | 'fallback' | 'flat' | 'loop' | 'match' | 'starmap' | 'when',
  (...args: unknown[]) => Mixed
>;

const decided = app.signal({ name: 'decided' });

const name = fc.stringMatching(/^[\w.-]{1,20}$/);
const key = fc.string({ minLength: 1, maxLength: 8 }).filter((text) => text !== '__proto__');
/** What an input may be: no -0, which JSON makes 0, and no key `__proto__`, which is refused. */
const value = fc
  .jsonValue({ maxDepth: 3 })
  .map((json) => JSON.stringify(json))
  .filter((text) => !text.includes('"__proto__"'))
  .map((text) => JSON.parse(text));
const bound = fc.dictionary(key, value, { maxKeys: 3 });
const scalar = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
const condition = fc.dictionary(
  key,
  fc.oneof(
    scalar,
    fc.record({ gt: fc.integer(), in: fc.array(scalar), exists: fc.boolean() }, { requiredKeys: ['gt'] }),
  ),
  { minKeys: 1, maxKeys: 3 },
);
const options = fc.record(
  {
    queue: fc.constantFrom('a', 'b'),
    priority: fc.nat(100),
    countdown: fc.nat(),
    headers: fc.dictionary(key, fc.string(), { maxKeys: 2 }),
    displayName: fc.string({ minLength: 1, maxLength: 200 }),
    tags: fc.uniqueArray(fc.string({ minLength: 1, maxLength: 200 }), { maxLength: 3 }),
    retry: fc.record({ attempts: fc.integer({ min: 1, max: 9 }) }),
    timeout: fc.integer({ min: 1, max: 1000 }),
    expires: fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.date({ noInvalidDate: true })),
  },
  { requiredKeys: [] },
);

const { signature } = fc.letrec<{ signature: Mixed }>((tie) => {
  const part = tie('signature');
  const parts = fc.array(part, { minLength: 1, maxLength: 3 });
  const call = fc.oneof(
    name.map((task) => app.signature(task) as Mixed),
    fc.tuple(name, bound).map(([task, keys]) => app.signature(task).s(keys)),
    fc.tuple(name, value).map(([task, input]) => app.signature(task).si(input)),
    fc.tuple(name, key, bound).map(([task, into, keys]) => app.signature(task).into(into, keys)),
  );
  const plain = fc.oneof(
    { depthSize: 'small', withCrossShrink: true, maxDepth: 6 },
    call,
    parts.map((steps) => chain.of(steps)),
    fc.tuple(parts, fc.boolean()).map(([members, cancelSiblings]) => group(members, { cancelSiblings })),
    fc.dictionary(key, part, { maxKeys: 3 }).map((members) => group.settled(members) as Mixed),
    parts.map((members) => group.any(members)),
    parts.map((members) => group.atLeast(members.length, members) as Mixed),
    fc.tuple(parts, part).map(([header, body]) => loose.chord(header, body)),
    fc.tuple(part, fc.array(value, { maxLength: 3 })).map(([step, inputs]) => map(step, inputs) as Mixed),
    part.map((step) => map(step) as Mixed),
    fc
      .tuple(part, fc.uniqueArray(key, { minLength: 2, maxLength: 2 }), fc.array(fc.tuple(value, value)))
      .map(([step, keys, rows]) => loose.starmap(step, keys, rows)),
    fc.tuple(call, fc.array(value), fc.integer({ min: 1 })).map(([step, inputs, size]) => {
      return chunks(step, inputs, size) as Mixed;
    }),
    fc
      .tuple(key, fc.dictionary(key, part, { minKeys: 1, maxKeys: 3 }))
      .map(([by, cases]) => loose.match(by, cases)),
    fc.tuple(fc.oneof(condition, part), part).map(([by, yes]) => loose.when(by, yes)),
    fc.tuple(fc.oneof(condition, part), part, part).map(([by, yes, no]) => loose.when(by, yes, no)),
    fc.nat().map((ms) => sleep(ms) as Mixed),
    key.map((until) => sleep.until(until) as unknown as Mixed),
    fc
      .tuple(
        part,
        fc.oneof(condition, part),
        fc.integer({ min: 1 }),
        fc.record(
          { every: fc.nat(), budget: fc.record({ key, max: fc.integer({ min: 1 }) }) },
          { requiredKeys: [] },
        ),
      )
      .map(([body, until, max, more]) => loose.loop(body, { until, max, ...more })),
    fc
      .record(
        {
          timeout: fc.integer({ min: 1, max: 1e9 }),
          key: fc.oneof(
            key,
            key.map((text) => ({ text })),
          ),
          onTimeout: value.filter((late) => late !== null && late !== 'fail'),
          into: key,
        },
        { requiredKeys: ['timeout'] },
      )
      .map((wait) => waitFor(decided, wait) as unknown as Mixed),
    fc.tuple(part, part).map(([step, other]) => loose.fallback(step, other)),
    part.map((step) => loose.flat(step)),
  );
  return {
    signature: fc
      .tuple(plain, fc.option(options, { nil: undefined }), fc.option(call, { nil: undefined }))
      .map(([made, given, callback]) => {
        const set = given === undefined ? made : made.set(given);
        return callback === undefined ? set : set.link(callback).finally(callback);
      }),
  };
});

test('a signature read from its JSON gives the same JSON, at every depth', () => {
  const kinds = new Set<string>();
  fc.assert(
    fc.property(signature, (given) => {
      const data = JSON.parse(JSON.stringify(given));
      for (const [, kind] of JSON.stringify(data).matchAll(/"kind":"(\w+)"/g)) kinds.add(kind ?? '');
      expect(fromJSON(app, data).toJSON()).toEqual(data);
      expect(fromJSON(app, data).toJSON()).toEqual(given.toJSON());
    }),
    { numRuns: 300 },
  );
  expect([...kinds].sort()).toEqual(
    expect.arrayContaining([
      'chain',
      'chord',
      'fallback',
      'flat',
      'group',
      'loop',
      'map',
      'match',
      'sleep',
      'task',
      'waitFor',
      'when',
    ]),
  );
});

test('whatever the data, it is read or refused with a place', () => {
  const kind = fc.constantFrom(
    'task',
    'chain',
    'group',
    'chord',
    'map',
    'match',
    'when',
    'fallback',
    'flat',
    'sleep',
    'loop',
    'waitFor',
  );
  const field = fc.constantFrom(
    'steps',
    'members',
    'header',
    'step',
    'cases',
    'test',
    'then',
    'options',
    'task',
    'ms',
    'until',
    'body',
    'max',
    'budget',
    'signal',
    'key',
    'timeout',
    'onTimeout',
  );
  const { hostile } = fc.letrec<{ hostile: unknown }>((tie) => ({
    hostile: fc.oneof(
      { maxDepth: 5 },
      fc.anything(),
      fc.array(tie('hostile'), { maxLength: 3 }),
      fc
        .tuple(kind, fc.dictionary(field, tie('hostile'), { maxKeys: 3 }))
        .map(([of, fields]) => ({ kind: of, ...fields })),
    ),
  }));
  fc.assert(
    fc.property(hostile, (data) => {
      try {
        fromJSON(app, data);
      } catch (error) {
        expect(error).toMatchObject({ name: 'CanvasError' });
      }
    }),
    { numRuns: 2000 },
  );
});

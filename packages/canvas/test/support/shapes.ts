/** One composition of each shape, with what it gives, for tests that let workers die at some point in it. */
import {
  chain,
  chord,
  chunks,
  fallback,
  flat,
  group,
  loop,
  map,
  match,
  sleep,
  starmap,
  waitFor,
  when,
} from '@umbel/canvas';
import type { App } from '@umbel/core';
import { z } from 'zod';
import type { AnySignature } from './places.js';

/** A handler that begins, or is about to end. */
export type Moment = 'handler begins' | 'handler ends';

export interface Shape {
  readonly flow: AnySignature;
  /** Absent: it fails. */
  readonly gives?: unknown;
}

/** The tasks of all shapes; `at` is told of each handler, and waited for. */
export function shapeTasks(app: App, at: (moment: Moment, call: string) => Promise<void>) {
  const told =
    <In, Out>(run: (input: In) => Promise<Out>) =>
    async (input: In, { id }: { id: string }): Promise<Out> => {
      const call = `${id} ${JSON.stringify(input)}`; // a job of chunks calls it for each of its inputs
      await at('handler begins', call);
      const result = await run(input);
      await at('handler ends', call);
      return result;
    };
  const add = app.task({ name: 'add', input: z.number(), run: told(async (n) => n + 1) });
  const sum = app.task({
    name: 'sum',
    input: z.array(z.number()),
    run: told(async (numbers) => numbers.reduce((total, n) => total + n, 0)),
  });
  const list = app.task({
    name: 'list',
    input: z.number(),
    run: told(async (length) => Array.from({ length }, (_, n) => n)),
  });
  const pair = app.task({
    name: 'pair',
    input: z.object({ x: z.number(), y: z.number() }),
    run: told(async ({ x, y }) => x * y),
  });
  const kind = app.task({
    name: 'kind',
    input: z.number(),
    run: told(async (n) => ({ kind: n > 1 ? ('big' as const) : ('small' as const), n })),
  });
  const take = app.task({
    name: 'take',
    input: z.object({ kind: z.string(), n: z.number() }),
    run: told(async ({ n }) => n * 10),
  });
  const more = app.task({
    name: 'more',
    input: z.object({ n: z.number() }),
    run: told(async ({ n }) => ({ kind: n + 1 > 3 ? ('big' as const) : ('small' as const), n: n + 1 })),
  });
  const ask = app.task({ name: 'ask', input: z.number(), run: told(async (n) => n > 4) });
  const broken = app.task({
    name: 'broken',
    input: z.unknown(),
    run: told(async (): Promise<number> => {
      throw new Error('broken');
    }),
  });
  const become = app.task({
    name: 'become',
    input: z.number(),
    run: async (n, ctx): Promise<number> => {
      await at('handler begins', ctx.id);
      return ctx.replace(chain(map(add, [n, n + 1, n + 2]), sum));
    },
  });
  const grow = app.task({
    name: 'grow',
    input: z.number(),
    run: async (n, ctx) => {
      await at('handler begins', ctx.id);
      await ctx.addToGroup(add, n);
      await at('handler ends', ctx.id);
      return n;
    },
  });
  const stop = app.task({
    name: 'stop',
    input: z.number(),
    run: async (n, ctx): Promise<number> => {
      await at('handler begins', ctx.id);
      return ctx.stop(n);
    },
  });
  const signal = app.signal({ name: 'answered', payload: z.number() });
  const answer = app.task({
    name: 'answer',
    input: z.number(),
    run: told(async (n) => {
      await signal.send('question', n);
      return n;
    }),
  });
  const note = app.task({ name: 'note', input: z.unknown(), run: told(async () => null) });
  return { add, sum, list, pair, kind, take, more, ask, broken, become, grow, stop, note, signal, answer };
}

export type ShapeTasks = ReturnType<typeof shapeTasks>;

/** Compositions without an input, by what they are. */
export function shapes(tasks: ShapeTasks): Readonly<Record<string, Shape>> {
  const { add, sum, list, pair, kind, take, more, ask, broken, become, grow, stop, note, signal, answer } =
    tasks;
  const one = add.si(0);
  function* members() {
    for (let n = 0; n < 3; n += 1) yield add.si(n);
  }
  const shape = (flow: unknown, gives?: unknown): Shape => ({
    flow: flow as AnySignature, // each is built as the compiler demands
    ...(gives !== undefined && { gives }),
  });
  return {
    chain: shape(chain(one, add, add, add), 4),
    group: shape(group([one, add.si(1), add.si(2)]), [1, 2, 3]),
    record: shape(group({ a: one, b: add.si(1) }), { a: 1, b: 2 }),
    chord: shape(chord([one, add.si(1), add.si(2)], sum), 6),
    'group after a step': shape(chain(one, group([add, add, add]), sum), 6),
    'groups in a row': shape(chain(one, group([add, add]), group([sum, sum]), sum), 8),
    'chord in chord': shape(chord([chord([one, one], sum), chain(one, add)], sum), 4),
    'large group': shape(
      chord(
        Array.from({ length: 120 }, (_, n) => add.si(n)),
        sum,
      ),
      7260,
    ),
    'members read while they are sent': shape(chain(group(members()), sum), 6),
    'wait for a signal': shape(
      chain(
        group([chain(waitFor(signal, { key: { text: 'question' }, timeout: '1h' }), add), answer.si(6)]),
        sum,
      ),
      13,
    ),
    'wait that times out': shape(
      chain(one, waitFor(signal, { key: { text: 'nobody' }, timeout: 100, onTimeout: 5 }), add),
      6,
    ),
    map: shape(chain(list.si(5), map(add), sum), 15),
    starmap: shape(
      starmap(
        pair,
        ['x', 'y'],
        [
          [1, 2],
          [3, 4],
        ],
      ),
      [2, 12],
    ),
    chunks: shape(chain(list.si(5), chunks(add, 2), sum), 15),
    flat: shape(chain(flat(group([list.si(2), list.si(3)])), sum), 4),
    match: shape(chain(add.si(2), kind, match('kind', { big: take, small: take })), 30),
    when: shape(chain(add.si(2), kind, when({ kind: 'big' }, take, take)), 30),
    fallback: shape(chain(fallback(broken.si(1), add.si(4)), add), 6),
    sleep: shape(chain(one, sleep(30), add), 2),
    loop: shape(chain(one, kind, loop(more, { until: { kind: 'big' }, max: 5, every: 20 })), {
      value: { kind: 'big', n: 4 },
      stopped: 'done',
    }),
    'loop with a step that decides': shape(chain(one, loop(add, { until: ask, max: 5 })), {
      value: 5,
      stopped: 'done',
    }),
    settled: shape(chain(group.settled([one, broken.si(1)]), note), null),
    any: shape(chain(group.any([broken.si(1), add.si(1)]), add), 3),
    'at least': shape(chain(group.atLeast(2, [one, add.si(0), broken.si(1)]), sum), 2),
    replace: shape(chain(one, become, add), 10),
    'add to group': shape(chain(group([grow.si(1), one]), sum), 4),
    'early end': shape(chain(one, stop, add, add), 1),
    callbacks: shape(chain(one, add).link(note).finally(note), 2),
    failure: shape(chain(group([one, broken.si(1)]), sum).linkError(note)),
  };
}

/** One trace for each run, and in it the links of each step to those whose results it took. */
import { chain, chord, chunks, fallback, flat, group, map, match, when } from '@umbel/canvas';
import { tracing } from '@umbel/core/opentelemetry';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { linksOf, recordSpans } from '../support/spans.js';

const soon = { timeout: '50s' } as const;
const spans = recordSpans();
beforeEach(() => spans.reset());
afterAll(() => spans.stop());

onEveryEngine('trace links', (engine) => {
  /** Tasks that add one to a number, by their names; `sum` adds up. The worker runs. */
  async function setup() {
    const app = engine.app({ middleware: [tracing()] });
    const add = <Name extends string>(name: Name) =>
      app.task({ name, input: z.number(), run: async (n) => n + 1 });
    const tasks = {
      a: add('a'),
      b: add('b'),
      c: add('c'),
      d: add('d'),
      sum: app.task({
        name: 'sum',
        input: z.array(z.number()),
        run: async (ns) => ns.reduce((one, other) => one + other, 0),
      }),
      list: app.task({
        name: 'list',
        input: z.number(),
        run: async (n) => Array.from({ length: n }, () => 1),
      }),
      fails: app.task({
        name: 'fails',
        input: z.number(),
        run: async (n): Promise<number> => {
          throw new RangeError(`no ${n}`);
        },
      }),
    };
    return { app, ...tasks };
  }

  async function recorded() {
    const all = await spans.all();
    const [sender] = await spans.sent();
    const attempts = await spans.attempts();
    const traces = new Set(all.map((span) => span.spanContext().traceId));
    const parents = new Set(attempts.map(({ parentSpanContext }) => parentSpanContext?.spanId));
    return {
      links: linksOf(all),
      traces: traces.size,
      parents: [...parents],
      sender: sender?.spanContext().spanId,
    };
  }

  test('a step is linked to the one before it, below the span of the sender, in one trace', async () => {
    const { app, a, b, c } = await setup();
    await app.worker().start();
    expect(await (await chain(a, b, c).delay(1)).get(soon)).toBe(4);
    const { links, traces, parents, sender } = await recorded();
    expect(links).toEqual(['a', 'b ← a', 'c ← b']);
    expect(traces).toBe(1);
    expect(parents).toEqual([sender]);
  });

  test('a join is linked to every member, in their order, and a member after a step to that step', async () => {
    const { app, a, b, c, sum } = await setup();
    await app.worker().start();
    expect(await (await chain(a, group([b, c, b]), sum).delay(1)).get(soon)).toBe(9);
    const { links, traces, parents, sender } = await recorded();
    expect(links).toEqual(['a', 'b ← a', 'b ← a', 'c ← a', 'sum ← b, c, b']);
    expect(traces).toBe(1);
    expect(parents).toEqual([sender]);
  });

  test('a join tells how many members it has', async () => {
    const { app, a, sum } = await setup();
    await app.worker().start();
    await (await chord([a.si(1), a.si(2), a.si(3)], sum).delay()).get(soon);
    const attempts = await spans.attempts();
    expect(attempts.find(({ attributes }) => attributes['umbel.task'] === 'sum')?.attributes).toMatchObject({
      'umbel.links': 3,
    });
  });

  test('what goes through jobs that Umbel adds is linked to the tasks behind them', async () => {
    const { app, a, b, c, d, sum } = await setup();
    const deep = app.task({
      name: 'deep',
      input: z.array(z.union([z.number(), z.array(z.number())])),
      run: async () => 1,
    });
    await app.worker().start();
    await (await chain(group([a, chain(b, group([c, d]))]), deep).delay(1)).get(soon);
    expect((await recorded()).links).toEqual(['a', 'b', 'c ← b', 'd ← b', 'deep ← a, c, d']);
    spans.reset();
    await (await chain(group([a, b]), group([sum, sum])).delay(1)).get(soon);
    expect((await recorded()).links).toEqual(['a', 'b', 'sum ← a, b', 'sum ← a, b']);
    spans.reset();
    await (await chain(flat(group([group([a, b]), group([c])])), sum).delay(1)).get(soon);
    expect((await recorded()).links).toEqual(['a', 'b', 'c', 'sum ← a, b, c']);
  });

  test('the members of a map over a result are linked to the step that gave it, and what follows to them', async () => {
    const { app, list, b, sum } = await setup();
    await app.worker().start();
    expect(await (await chain(list, map(b), sum).delay(3)).get(soon)).toBe(6);
    const three = ['b ← list', 'b ← list', 'b ← list'];
    expect((await recorded()).links).toEqual([...three, 'list', 'sum ← b, b, b']);
    spans.reset();
    expect(await (await chain(list, map(b), sum).delay(0)).get(soon)).toBe(0);
    expect((await recorded()).links).toEqual(['list', 'sum ← list']);
  });

  test('a job of chunks is one span, linked as others', async () => {
    const { app, list, b, sum } = await setup();
    await app.worker().start();
    expect(await (await chain(list, chunks(b, 2), sum).delay(3)).get(soon)).toBe(6);
    expect((await recorded()).links).toEqual(['b ← list', 'b ← list', 'list', 'sum ← b, b']);
  });

  test('of a large group the first 128 members are linked, and all are counted', async () => {
    const { app, list, b, sum } = await setup();
    await app.worker({ concurrency: 50 }).start();
    expect(await (await chain(list, map(b), sum).delay(170)).get(soon)).toBe(340);
    const attempts = await spans.attempts();
    const join = attempts.find(({ attributes }) => attributes['umbel.task'] === 'sum');
    expect(join?.links).toHaveLength(128);
    expect(new Set(join?.links.map(({ context }) => context.spanId)).size).toBe(128);
    expect(join?.attributes['umbel.links']).toBe(170);
  });

  test('the chosen branch is linked to what gave its value and what decided, and what follows to the branch', async () => {
    const { app, a, b, c } = await setup();
    const isBig = app.task({ name: 'isBig', input: z.number(), run: async (n) => n > 1 });
    const pick = app.task({
      name: 'pick',
      input: z.number(),
      output: z.object({ kind: z.enum(['x', 'y']), n: z.number() }),
      run: async (n) => ({ kind: 'x' as const, n }),
    });
    const ofX = app.task({
      name: 'ofX',
      input: z.object({ kind: z.literal('x'), n: z.number() }),
      run: async ({ n }) => n,
    });
    const ofY = app.task({
      name: 'ofY',
      input: z.object({ kind: z.literal('y'), n: z.number() }),
      run: async ({ n }) => n,
    });
    await app.worker().start();
    await (await chain(a, when(isBig, b, c), c).delay(1)).get(soon);
    expect((await recorded()).links).toEqual(['a', 'b ← a, isBig', 'c ← b', 'isBig ← a']);
    spans.reset();
    await (await chain(a, when(isBig, b), c).delay(-1)).get(soon);
    expect((await recorded()).links).toEqual(['a', 'c ← a, isBig', 'isBig ← a']);
    spans.reset();
    await (await chain(pick, match('kind', { x: ofX, y: ofY }), c).delay(1)).get(soon);
    expect((await recorded()).links).toEqual(['c ← ofX', 'ofX ← pick', 'pick']);
  });

  test('a fallback is linked to the step that has failed, and what follows to the fallback', async () => {
    const { app, a, fails, c } = await setup();
    const instead = app.task({ name: 'instead', input: z.unknown(), run: async () => 5 });
    await app.worker().start();
    expect(await (await chain(a, fallback(fails, instead), c).delay(1)).get(soon)).toBe(6);
    expect((await recorded()).links).toEqual(['a', 'c ← instead', 'fails ← a', 'instead ← fails']);
    spans.reset();
    expect(await (await chain(fallback(a, instead), c).delay(1)).get(soon)).toBe(3);
    expect((await recorded()).links).toEqual(['a', 'c ← a']);
  });

  test('a join that takes failures, too, is linked to the members that failed', async () => {
    const { app, a, fails } = await setup();
    const count = app.task({
      name: 'count',
      input: z.array(z.unknown()),
      run: async (outcomes) => outcomes.length,
    });
    await app.worker().start();
    expect(await (await chain(group.settled([a, fails]), count).delay(1)).get(soon)).toBe(2);
    expect((await recorded()).links).toEqual(['a', 'count ← a, fails', 'fails']);
  });

  test('a join that needs one member is linked to the one that it took', async () => {
    const { app, a, fails, c } = await setup();
    await app.worker().start();
    expect(await (await chain(group.any([fails, a]), c).delay(1)).get(soon)).toBe(3);
    expect((await recorded()).links).toEqual(['a', 'c ← a', 'fails']);
  });

  test('callbacks are in the same trace, linked to what they follow', async () => {
    const { app, a, b, fails } = await setup();
    const after = app.task({ name: 'after', input: z.unknown(), run: async () => 1 });
    await app.worker().start();
    const ended = async (count: number) =>
      expect.poll(async () => (await spans.attempts()).length, { timeout: 10_000 }).toBe(count);
    await a.applyAsync(1, { link: after });
    await ended(2);
    expect((await recorded()).links).toEqual(['a', 'after ← a']);
    expect((await recorded()).traces).toBe(1);
    spans.reset();
    await chain(a, fails, b).applyAsync(1, { linkError: after });
    await ended(3);
    expect((await recorded()).links).toEqual(['a', 'after ← fails', 'fails ← a']);
    expect((await recorded()).traces).toBe(1);
  });

  test('what takes the place of a job is linked to its handler, and what follows to what took its place', async () => {
    const { app, a, b, c, d } = await setup();
    const replaced = app.task({
      name: 'replaced',
      input: z.number(),
      run: async (n, ctx) => ctx.replace(chain(a, b), n),
    });
    await app.worker().start();
    expect(await (await chain(d, replaced, c).delay(1)).get(soon)).toBe(5);
    const { links, traces } = await recorded();
    expect(links).toEqual(['a ← replaced', 'b ← a', 'c ← b', 'd', 'replaced ← d']);
    expect(traces).toBe(1);
    expect((await spans.attempts()).map(({ status }) => status.code)).toEqual([0, 0, 0, 0, 0]);
  });

  test('a member that was added by another one is linked to it, and the join to both', async () => {
    const { app, a, b, sum } = await setup();
    const adds = app.task({
      name: 'adds',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.addToGroup(b, n);
        return n;
      },
    });
    await app.worker().start();
    expect(await (await chain(group([adds, a]), sum).delay(1)).get(soon)).toBe(5);
    expect((await recorded()).links).toEqual(['a', 'adds', 'b ← adds', 'sum ← adds, b, a']);
  });

  test('what follows a chain that was ended early is linked to the step that ended it', async () => {
    const { app, a, b, c } = await setup();
    const stops = app.task({ name: 'stops', input: z.number(), run: async (n, ctx) => ctx.stop(n) });
    const one = app.task({ name: 'one', input: z.array(z.unknown()), run: async () => 1 });
    await app.worker().start();
    await (await chain(group([chain(stops, b, c), a]), one).delay(1)).get(soon);
    expect((await recorded()).links).toEqual(['a', 'one ← stops, a', 'stops']);
    expect((await spans.attempts()).map(({ status }) => status.code)).toEqual([0, 0, 0]);
  });

  test('every attempt is a span of its own with the same links, and the last one is linked to', async () => {
    const { app, a, b } = await setup();
    const retried = app.task({
      name: 'retried',
      input: z.number(),
      retry: { attempts: 2, delay: 1 },
      run: async (n, { attempt }) => {
        if (attempt === 1) throw new Error('once');
        return n;
      },
    });
    await app.worker().start();
    await (await chain(a, retried, b).delay(1)).get(soon);
    expect((await recorded()).links).toEqual(['a', 'b ← retried 2', 'retried 2 ← a', 'retried ← a']);
  });
});

/** Members that a handler adds to its group, over attempts that do not ask for the same. */
import { chain, group } from '@umbel/canvas';
import type { App } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { soon, start } from '../support/running.js';

interface Asked {
  readonly url: string;
  readonly key?: string;
}

onEveryEngine('ctx.addToGroup', (engine: Engine) => {
  /** A task that adds, attempt by attempt, what it is told, and fails in all but the last. */
  async function crawling(attempts: readonly (readonly (string | Asked)[])[]) {
    const tools = await start(engine);
    const visited: string[] = [];
    const visit = visitTask(tools.app, visited);
    const crawl = tools.app.task({
      name: 'crawl',
      input: z.string(),
      retry: { attempts: attempts.length, backoff: 'fixed', delay: 1 },
      run: async (url, ctx) => {
        const all = attempts[ctx.attempt - 1] ?? [];
        await Promise.all(
          all.map((asked) =>
            typeof asked === 'string'
              ? ctx.addToGroup(visit, asked)
              : ctx.addToGroup(visit, asked.url, asked.key === undefined ? {} : { key: asked.key }),
          ),
        );
        if (ctx.attempt < attempts.length) throw new Error('once more');
        return url;
      },
    });
    return { ...tools, crawl, visit, visited };
  }

  function visitTask(app: App, visited: string[]) {
    return app.task({
      name: 'visit',
      input: z.string(),
      run: async (url) => {
        visited.push(url);
        return url;
      },
    });
  }

  test.each([
    [
      [['/b'], ['/new', '/b']],
      ['/b', '/new'],
    ],
    [
      [['/new', '/b'], ['/b']],
      ['/new', '/b'],
    ],
    [
      [
        ['/new', '/b'],
        ['/b', '/new'],
      ],
      ['/new', '/b'],
    ],
    [
      [['/a', '/a'], ['/c', '/a', '/a'], ['/a']],
      ['/a', '/a', '/c'],
    ],
    [
      [['/a'], [], ['/b'], ['/c', '/b', '/a', '/d']],
      ['/a', '/b', '/c', '/d'],
    ],
  ])(
    'of attempts that ask for %j adds each once, in the order of the first asking',
    async (attempts, added) => {
      const { crawl, visited, double } = await crawling(attempts);
      const run = await group([crawl.si('/'), double.si(1)]).delay();
      expect(await run.get(soon)).toEqual(['/', 2, ...added]);
      expect(visited.toSorted()).toEqual(added.toSorted());
      const told: unknown[] = [];
      for await (const member of run) told[member.index] = member.ok ? member.value : undefined;
      expect(told).toEqual(['/', 2, ...added]);
    },
  );

  test('adds each once in a large group, in a group after a step, and of a step before the last one', async () => {
    const { crawl, visited, echo } = await crawling([['/b'], ['/new', '/b']]);
    const wide = group([...Array.from({ length: 120 }, () => echo.si('')), crawl.si('/')]);
    expect((await (await wide.delay()).get(soon)).slice(120)).toEqual(['/', '/b', '/new']);
    const later = chain(echo.si('/'), group.settled([chain(crawl.si('/'), crawl.si('/last'))]));
    expect(await (await later.delay()).get(soon)).toEqual(
      ['/last', '/b', '/new', '/b', '/new'].map((value) => ({ ok: true, value })),
    );
    expect(visited).toHaveLength(6);
  });

  test('with a key: whatever is asked for with it is that member', async () => {
    const { crawl, visited } = await crawling([
      [
        { url: '/a?at=1', key: 'a' },
        { url: '/b?at=1', key: 'b' },
      ],
      [
        { url: '/c?at=2', key: 'c' },
        { url: '/b?at=2', key: 'b' },
        { url: '/a?at=2', key: 'a' },
      ],
    ]);
    const run = await group([crawl.si('/')]).delay();
    expect(await run.get(soon)).toEqual(['/', '/a?at=1', '/b?at=1', '/c?at=2']);
    expect(visited).toHaveLength(3);
  });

  test('with one key twice adds one member, and with two for one key is refused', async () => {
    const same = { url: '/a', key: 'a' };
    const { crawl, visited } = await crawling([[same, same, { url: '/a' }]]);
    expect(await (await group([crawl.si('/')]).delay()).get(soon)).toEqual(['/', '/a', '/a']);
    expect(visited).toEqual(['/a', '/a']);
    const { crawl: other } = await crawling([[same, { url: '/b', key: 'a' }]]);
    const outcome = await (await group([other.si('/')]).delay()).outcome(soon);
    expect(outcome.ok ? '' : outcome.error.message).toContain(
      'two different members to its group with the key "a"',
    );
  });

  test('after a resume adds what the attempts before it have not', async () => {
    const { app, visited, visit } = await crawling([[]]);
    const asked = [
      ['/b', '/c'],
      ['/new', '/c', '/b'],
    ];
    const broken = app.task({
      name: 'broken',
      input: z.string(),
      run: async (url, ctx) => {
        const isFirst = asked.length > 1;
        for (const next of asked.shift() ?? []) await ctx.addToGroup(visit, next);
        if (isFirst) throw new Error('broken');
        return url;
      },
    });
    const run = await group([broken.si('/')]).delay();
    await expect(run.get(soon)).rejects.toThrow('broken');
    await run.resume();
    expect(await run.get(soon)).toEqual(['/', '/b', '/c', '/new']);
    expect(visited.toSorted()).toEqual(['/b', '/c', '/new']);
  });

  test('that could not be added is the same one when it is asked for again', async () => {
    const { app, visited, visit } = await crawling([[]]);
    const wrong = app.task({
      name: 'wrong',
      input: z.string(),
      run: async (url, ctx) => {
        await expect(ctx.addToGroup(visit, 1 as never)).rejects.toMatchObject({ name: 'ValidationError' });
        await ctx.addToGroup(visit, '/a');
        return url;
      },
    });
    expect(await (await group([wrong.si('/')]).delay()).get(soon)).toEqual(['/', '/a']);
    expect(visited).toEqual(['/a']);
  });
});

import { group } from '@umbel/canvas';
import { InvalidOptionError, UnknownQueueError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

onEveryEngine('routing', (engine) => {
  const whereabouts = (app: ReturnType<typeof engine.app>, name: string, options: object = {}) =>
    app.task({ name, ...options, run: async (_, { queue }) => queue });

  test('goes by the call, else the task, else the first pattern that fits, else the default', async () => {
    const app = engine.app({
      queues: ['own', 'called'],
      routes: { 'email.*.urgent': 'own', 'email.*': 'called', exact: 'own' },
    });
    const tasks = [
      whereabouts(app, 'email.send'),
      whereabouts(app, 'email.send.urgent'),
      whereabouts(app, 'exact'),
      whereabouts(app, 'exactly'),
      whereabouts(app, 'email.own', { queue: 'own' }),
    ];
    const worker = await app.worker().start();
    expect([...worker.queues].sort()).toEqual(['called', 'default', 'own']);
    const queues = [];
    for (const task of tasks) queues.push(await (await task.delay()).get(soon));
    expect(queues).toEqual(['called', 'own', 'own', 'default', 'own']);
    const [first] = tasks;
    expect(await (await first?.applyAsync(undefined, { queue: 'default' }))?.get(soon)).toBe('default');
    expect(await (await group(tasks).delay()).get(soon)).toEqual(queues);
  });

  test('can be a function of the call; its workers serve every declared queue', async () => {
    const app = engine.app({
      queues: ['acme', 'others'],
      routes: ({ task, input, headers }) => {
        if (task !== 'count') return undefined;
        return headers.tenant === 'acme' || (input as { big?: boolean } | undefined)?.big ? 'acme' : 'others';
      },
    });
    const count = app.task({
      name: 'count',
      input: z.object({ big: z.boolean().optional() }),
      run: async (_, { queue }) => queue,
    });
    const worker = await app.worker().start();
    expect([...worker.queues].sort()).toEqual(['acme', 'default', 'others']);
    const sent = [
      await count.delay({}),
      await count.delay({ big: true }),
      await count.applyAsync({}, { headers: { tenant: 'acme' } }),
    ];
    const queues = [];
    for (const result of sent) queues.push(await result.get(soon));
    expect(queues).toEqual(['others', 'acme', 'acme']);
  });

  test('to a queue that nobody would serve is refused, when it is called or declared', async () => {
    const app = engine.app();
    const task = whereabouts(app, 'task', { queue: 'mine' });
    const typo = task.applyAsync(undefined, { queue: 'mien' });
    await expect(typo).rejects.toThrow(UnknownQueueError);
    await expect(typo).rejects.toThrow('Queue "mien" does not exist in this app (known: "default", "mine")');
    expect(await app.queue('mine').counts()).toMatchObject({ waiting: 0 });

    const strict = engine.app({ queues: ['a'] });
    await expect(whereabouts(strict, 'b', { queue: 'b' }).delay()).rejects.toThrow(UnknownQueueError);
    await expect(strict.worker({ queues: ['b'] }).start()).rejects.toThrow(UnknownQueueError);
    expect(() => engine.app({ queues: ['a'], routes: { 'x*': 'b' } })).toThrow(UnknownQueueError);
    expect(() => engine.app({ queues: ['umbel'] })).toThrow(InvalidOptionError);
    expect(() => engine.app({ queues: { a: { rateLimit: '1/y' as never } } })).toThrow('queues.a.rateLimit');
  });
});

/** What is asked of an app, or of a worker, that was closed. */
import { chain, group } from '@umbel/canvas';
import type { App, AppWorker } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';

const closedApp = {
  name: 'ClosedError',
  message: 'The app was closed: create another one with createApp().',
};
const closedWorker = {
  name: 'ClosedError',
  message: 'This worker was closed. Create another one with app.worker().',
};

const first = async (items: AsyncIterable<unknown>) => {
  for await (const item of items) return item;
  return 'nothing';
};

function tasksOf(app: App) {
  return {
    echo: app.task({ name: 'echo', run: () => 1 }),
    hourly: app.schedule('hourly', { every: '1h' }, app.task({ name: 'tick', run: () => 1 })),
  };
}

type Asked = (app: App, tasks: ReturnType<typeof tasksOf>) => Promise<unknown>;

/** Everything of an app that needs its store. */
const asked: Record<string, Asked> = {
  delay: (_, { echo }) => echo.delay(),
  applyAsync: (_, { echo }) => echo.applyAsync(undefined, { countdown: '1h' }),
  sendMany: (_, { echo }) => echo.sendMany([undefined]),
  send: (app) => app.send('echo'),
  'delay of a chain': (_, { echo }) => chain(echo.s(), echo.si()).delay(),
  'delay of a group': (_, { echo }) => group([echo.s(), echo.s()]).delay(),
  find: (app) => first(app.find({ tag: 'red' })),
  revoke: (app) => app.revoke({ tag: 'red' }),
  events: (app) => first(app.events()),
  repair: (app) => app.repair(),
  diagnose: (app) => app.diagnose(),
  'worker.start': (app) => app.worker().start(),
  'worker.addQueue': (app) => app.worker().addQueue('default'),
  'worker.setConcurrency': (app) => app.worker().setConcurrency(2),
  'result.get': (app) => app.result('some-id').get(),
  'result.outcome': (app) => app.result('some-id').outcome(),
  'result.state': (app) => app.result('some-id').state(),
  'result.progress': (app) => first(app.result('some-id').progress()),
  'result.members': (app) => first(app.result('some-id').members()),
  'result.collect': (app) => first(app.result('some-id').collect()),
  'result.page': (app) => app.result('some-id').page(),
  'result.graph': (app) => app.result('some-id').graph(),
  'result.counts': (app) => app.result('some-id').counts(),
  'result.children': (app) => app.result('some-id').children(),
  'result.parent': (app) => app.result('some-id').parent(),
  'result.info': (app) => app.result('some-id').info(),
  'result.logs': (app) => app.result('some-id').logs(),
  'result.revoke': (app) => app.result('some-id').revoke(),
  'result.resume': (app) => app.result('some-id').resume(),
  'result.forget': (app) => app.result('some-id').forget(),
  'queue.counts': (app) => app.queue('default').counts(),
  'queue.pause': (app) => app.queue('default').pause(),
  'queue.resume': (app) => app.queue('default').resume(),
  'queue.purge': (app) => app.queue('default').purge(),
  'deadLetters.list': (app) => app.deadLetters.list(),
  'deadLetters.get': (app) => app.deadLetters.get('some-id'),
  'deadLetters.replay': (app) => app.deadLetters.replay('some-id'),
  'jobs.list': (app) => app.jobs.list(),
  'jobs.counts': (app) => app.jobs.counts(),
  'jobs.get': (app) => app.jobs.get('some-id'),
  'runs.list': (app) => app.runs.list(),
  'runs.get': (app) => app.runs.get('some-id'),
  'schedules.list': (app) => app.schedules.list(),
  'schedules.sync': (app) => app.schedules.sync(),
  'schedule.pause': (_, { hourly }) => hourly.pause(),
  'schedule.info': (_, { hourly }) => hourly.info(),
  'inspect.workers': (app) => app.inspect.workers(),
  'inspect.queues': (app) => app.inspect.queues(),
  'inspect.ping': (app) => app.inspect.ping(),
  'control.revoke': (app) => app.control.revoke('some-id'),
  'control.pause': (app) => app.control.pause('default'),
  'control.shutdown': (app) => app.control.shutdown(),
};

onEveryEngine('an app that was closed', (engine) => {
  describe.each(['before anything was asked of it', 'after it was used'])('%s', (when) => {
    test.each(Object.entries(asked))('refuses %s', async (_, ask) => {
      const app = engine.app();
      const tasks = tasksOf(app);
      if (when === 'after it was used') await tasks.echo.delay();
      await app.close();
      await expect(ask(app, tasks)).rejects.toMatchObject(closedApp);
    });
  });

  test('is closed again at once, and still describes itself', async () => {
    const app = engine.app();
    tasksOf(app);
    await Promise.all([app.close(), app.close()]);
    await app.close();
    expect(app.describe().tasks.map(({ name }) => name)).toContain('echo');
  });

  test('ends the events that nobody reads at the moment, and tells nobody more', async () => {
    const app = engine.app();
    const { echo } = tasksOf(app);
    const events = app.events();
    const next = events.next();
    await echo.delay();
    expect((await next).done).toBe(false);
    await app.close();
    for (let rest = await events.next(); rest.done !== true; ) rest = await events.next();
  });

  test('lets handlers send that still run', async () => {
    const app = engine.app();
    const { echo } = tasksOf(app);
    let begin = () => {};
    const hasBegun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    let go = () => {};
    const isToGo = new Promise<void>((resolve) => {
      go = resolve;
    });
    const sent: string[] = [];
    const sender = app.task({
      name: 'sender',
      run: async () => {
        begin();
        await isToGo;
        sent.push((await echo.applyAsync(undefined, { countdown: '1h' })).id);
      },
    });
    await app.worker().start();
    await sender.delay();
    await hasBegun;
    const closed = app.close();
    go();
    await closed;
    expect(sent).toHaveLength(1);
    if (engine.name === 'redis')
      expect(
        await engine
          .sameApp()
          .result(sent[0] ?? '')
          .state(),
      ).toBe('delayed');
  });
});

onEveryEngine('a worker that was closed', (engine) => {
  const refused: Record<string, (worker: AppWorker) => Promise<unknown>> = {
    start: (worker) => worker.start(),
    addQueue: (worker) => worker.addQueue('default'),
    setConcurrency: (worker) => worker.setConcurrency(2),
  };

  test.each(Object.entries(refused))('refuses %s, started or not', async (_, ask) => {
    const app = engine.app();
    tasksOf(app);
    const started = await app.worker().start();
    const never = app.worker();
    for (const worker of [started, never]) {
      await worker.close();
      expect(worker.state).toBe('closed');
      expect(await worker.closed).toBe('closed');
      await expect(ask(worker)).rejects.toMatchObject(closedWorker);
      expect(await worker.health()).toMatchObject({ live: false, ready: false });
      await worker.close();
    }
  });

  test('while it starts is given by its start, closed, and takes no job', async () => {
    const app = engine.app();
    const { echo } = tasksOf(app);
    const result = await echo.delay();
    const worker = app.worker();
    const starting = worker.start();
    await worker.close();
    expect(await starting).toBe(worker);
    expect(worker.state).toBe('closed');
    expect(await result.state()).toBe('waiting');
    // Another one takes it.
    await app.worker().start();
    expect(await result.get({ timeout: '50s' })).toBe(1);
  });

  test('just after it was to serve one more queue does not serve it', async () => {
    const app = engine.app({ queues: ['other'] });
    tasksOf(app);
    const worker = await app.worker().start();
    const adding = worker.addQueue('other');
    const refusal = expect(adding).rejects.toMatchObject(closedWorker);
    await worker.close();
    await refusal;
    const job = await app.send('echo', undefined, { queue: 'other' });
    expect(await job.state()).toBe('waiting');
  });
});

/** Mistakes as a newcomer makes them, each committed for real: what it is called in docs/mistakes.md, and what it says. */
import { chain, chord, group, loop, sleep, waitFor } from '@umbel/canvas';
import { type App, type AppOptions, createApp, defineTask } from '@umbel/core';
import { memory, testApp } from '@umbel/testing';
import { z } from 'zod';
import type { Stores } from './mistaken-stores.js';

/** What a mistake is made with. Apps are closed afterwards; `log` has what they have told. */
interface Bench {
  readonly stores: Stores;
  readonly log: string[];
  app(options?: Partial<AppOptions>): App;
}

/** Gives what it says, or throws it. */
export type Mistake = (bench: Bench) => unknown;

const soon = { timeout: '2s' } as const;
const numbers = z.object({ x: z.number(), y: z.number() });
const anything = z.custom<never>(() => true);

const hello = (app: App) => app.task({ name: 'hello', run: async () => 'hello' });
const add = (app: App) => app.task({ name: 'add', input: numbers, run: async ({ x, y }) => x + y });
const paid = (app: App) => app.signal({ name: 'order.paid' });
const store = (app: App) => app.task({ name: 'file.store', input: anything, run: async () => 1 });

/** Sends a call that a worker of the same app runs, and waits for its result. */
async function ran(app: App, run: () => Promise<unknown>): Promise<unknown> {
  const task = app.task({ name: 'report', run: run as () => Promise<never> });
  await app.worker().start();
  return (await task.delay()).get({ timeout: '50s' });
}

/** The first line that an app has told about this, once it is there. */
async function told(log: readonly string[], words: string): Promise<string> {
  for (;;) {
    const line = log.find((each) => each.includes(words));
    if (line !== undefined) return line;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const ofTheStore: Record<string, Mistake> = {
  'Redis is not running': ({ app, stores }) => hello(app({ connection: stores.nobody })).delay(),
  'A worker is started before Redis': async ({ app, log, stores }) => {
    const away = app({ connection: stores.nobody });
    hello(away);
    const starting = away.worker().start();
    starting.catch(() => {}); // it is closed while it waits
    return told(log, 'ECONNREFUSED');
  },
  'The host does not exist': ({ app }) => hello(app({ connection: 'redis://redis.invalid:6379' })).delay(),
  'No scheme in the URL': ({ app }) => app({ connection: 'localhost:6379' }),
  'Another scheme in UMBEL_URL': ({ app }) => {
    const before = process.env.UMBEL_URL;
    process.env.UMBEL_URL = 'http://localhost:6379';
    try {
      return app({ connection: undefined as never });
    } finally {
      if (before === undefined) delete process.env.UMBEL_URL;
      else process.env.UMBEL_URL = before;
    }
  },
  'A password with special characters': ({ app }) => app({ connection: 'redis://:s3cr#t/1@127.0.0.1:6379' }),
  'A database name instead of its number': ({ app }) => app({ connection: 'redis://127.0.0.1:6379/shop' }),
  'A database that Redis does not have': ({ app, stores }) =>
    hello(app({ connection: `${stores.open}/99` })).delay(),
  'Redis requires a password': ({ app, stores }) => hello(app({ connection: stores.locked })).delay(),
  'A wrong password': ({ app, stores }) =>
    hello(app({ connection: stores.locked.replace('//', '//:wrong@') })).delay(),
  'A user without permissions': ({ app, stores }) =>
    hello(app({ connection: stores.locked.replace('//', '//weak:weak@') })).delay(),
  'Redis requires TLS': ({ app, stores }) => hello(app({ connection: stores.hangsUp })).delay(),
  'TLS to a Redis without TLS': ({ app, stores }) =>
    hello(app({ connection: stores.silent.replace('redis:', 'rediss:') })).delay(),
  'Another server answers': ({ app, stores }) => hello(app({ connection: stores.web })).delay(),
  'Redis evicts keys': async ({ app, stores }) => {
    const evicted = app({ connection: stores.evicting });
    hello(evicted);
    await evicted.worker().start();
  },
  'A transaction on another store': ({ app, stores }) =>
    app({ connection: stores.open }).in({ query: async () => ({ rows: [] }) }),
};

const ofWorkers: Record<string, Mistake> = {
  'No worker runs': async ({ app }) => (await hello(app()).delay()).get(soon),
  'A workflow without a worker': async ({ app }) => {
    const lonely = app();
    return (await chain(hello(lonely).si(), add(lonely).si({ x: 1, y: 2 })).delay()).get(soon);
  },
  'Waiting without a timeout or a worker': async ({ app, log }) => {
    const result = await hello(app()).delay();
    result.get().catch(() => {}); // the app is closed
    return told(log, 'still waiting');
  },
  'The worker serves other queues': async ({ app }) => {
    const shop = app();
    const send = shop.task({ name: 'mail.send', queue: 'mails', run: async () => 1 });
    await shop.worker({ queues: ['default'] }).start();
    return (await send.delay()).get(soon);
  },
  'The worker has another app name': async ({ app, stores }) => {
    const sender = app({ connection: stores.open, name: 'shop' });
    const other = app({ connection: stores.open, name: 'Shop' });
    hello(other);
    await other.worker().start();
    const result = await hello(sender).delay();
    try {
      return await result.get(soon);
    } finally {
      await result.revoke();
      await result.forget().catch(() => {}); // it may still wait to be taken
    }
  },
  'A worker for a misspelt queue': async ({ app, log }) => {
    const shop = app();
    shop.task({ name: 'mail.send', queue: 'mails', run: async () => 1 });
    await shop.worker({ queues: ['mials'] }).start();
    return told(log, 'mials');
  },
  'The module with the tasks is not imported': async ({ app, log }) => {
    await app().worker().start();
    return told(log, 'no queue');
  },
  'A contract without its handler': async ({ app }) => {
    const shop = app();
    hello(shop);
    const resize = shop.defineTask({ name: 'image.resize', output: z.number() });
    await shop.worker().start();
    return (await resize.delay()).get();
  },
  'A misspelt task': async ({ app }) => {
    const shop = app();
    hello(shop);
    await shop.worker().start();
    return (await shop.send('helo')).get();
  },
  'Starting a closed worker': async ({ app }) => {
    const shop = app();
    hello(shop);
    const worker = await shop.worker().start();
    await worker.close();
    await worker.start();
  },
  'Closing the app while waiting for a result': async ({ app }) => {
    const shop = app();
    const getting = (await hello(shop).delay()).get();
    await Promise.all([getting, shop.close()]);
  },
  'Using a closed app': async ({ app }) => {
    const shop = app();
    await shop.close();
    await hello(shop).delay();
  },
};

const ofDefinitions: Record<string, Mistake> = {
  'createApp without options': () => (createApp as () => unknown)(),
  'A space in a name': ({ app }) => app().task({ name: 'send email', run: async () => 1 }),
  'A name used twice': ({ app }) => {
    const shop = app();
    hello(shop);
    hello(shop);
  },
  'A task defined for each request': ({ app, log }) => {
    const shop = app();
    for (let request = 0; request < 1000; request += 1)
      shop.task({ name: `request-${request}`, run: async () => 1 });
    return told(log, 'tasks are defined');
  },
  'No handler': ({ app }) => app().task({ name: 'hello' } as never),
  'A type instead of a schema': ({ app }) =>
    app().task({ name: 'hello', input: String as never, run: async () => 1 }),
  'A number for `retry`': ({ app }) => app().task({ name: 'hello', retry: 3 as never, run: async () => 1 }),
  'A misspelt option': ({ app }) => app().task({ name: 'hello', timout: '30s', run: async () => 1 } as never),
  'A misspelt option of a call': ({ app }) =>
    hello(app()).applyAsync(undefined, { coutdown: '10m' } as never),
  'A misspelt option of `retry`': ({ app }) =>
    app().task({ name: 'hello', retry: { attemps: 3 } as never, run: async () => 1 }),
  'A rate limit of a task': ({ app }) =>
    app().task({ name: 'hello', rateLimit: '100/s', run: async () => 1 } as never),
  'An invalid duration': ({ app }) =>
    app().task({ name: 'hello', timeout: 'thirty seconds' as never, run: async () => 1 }),
  'A word for `priority`': ({ app }) =>
    app().task({ name: 'hello', priority: 'high' as never, run: async () => 1 }),
  'Text for `eta`': ({ app }) => hello(app()).applyAsync(undefined, { eta: '2030-01-01' as never }),
  'A header that is not text': ({ app }) =>
    hello(app()).applyAsync(undefined, { headers: { tenant: 7 as never } }),
  'A relative path for `isolate`': ({ app }) =>
    app().task({ name: 'hello', isolate: './tasks.js', run: async () => 1 }),
  'A queue that does not exist': ({ app }) => {
    const shop = app({ queues: ['mails'] });
    return hello(shop).applyAsync(undefined, { queue: 'mial' });
  },
  'A contract without an app': () => defineTask({ name: 'hello' }).delay(),
  'Not an app in `testApp`': () => testApp({ name: 'shop' } as never),
};

const ofValues: Record<string, Mistake> = {
  'The input does not match the schema': ({ app }) => add(app()).delay({ x: '1', y: 2 } as never),
  'The input is missing': ({ app }) => (add(app()).delay as () => unknown)(),
  'An input for a task without input': ({ app }) =>
    (hello(app()).delay as (input: object) => unknown)({ x: 1 }),
  'A Date': ({ app }) => store(app()).delay({ at: new Date() } as never),
  'A class instance': ({ app }) => {
    class User {
      readonly name = 'Ada';
    }
    return store(app()).delay({ user: new User() } as never);
  },
  '`undefined` in a list': ({ app }) => store(app()).delay([1, undefined] as never),
  'A BigInt': ({ app }) => store(app()).delay({ id: 1n } as never),
  NaN: ({ app }) => store(app()).delay({ n: Number.NaN } as never),
  'A promise: `await` is missing': ({ app }) => store(app()).delay({ n: Promise.resolve(1) } as never),
  'A value of two megabytes': ({ app }) => store(app()).delay('x'.repeat(2_000_000) as never),
  'A handler returns a Date': ({ app }) => ran(app(), async () => ({ at: new Date(0) })),
  'A handler returns a function': ({ app }) => ran(app(), async () => () => 1),
  'A handler with `output` returns nothing': async ({ app }) => {
    const shop = app();
    const run = async () => undefined as never;
    const mail = shop.task({ name: 'mail.send', output: z.object({ id: z.string() }), run });
    await shop.worker().start();
    return (await mail.delay()).get();
  },
  'An idempotency key with a different input': async ({ app }) => {
    const task = add(app());
    await task.applyAsync({ x: 1, y: 2 }, { idempotencyKey: 'order-7' });
    await task.applyAsync({ x: 1, y: 3 }, { idempotencyKey: 'order-7' });
  },
  'An unknown job id': ({ app }) => app().result('8f14e45f-ceea-467f-8c5b-6e4f5d2a1b3c').get(),
};

const ofHandlers: Record<string, Mistake> = {
  'A handler throws': ({ app }) =>
    ran(app(), async () => {
      throw new Error('the mail server is away');
    }),
  'A handler throws a string': ({ app }) =>
    ran(app(), async () => {
      throw 'the mail server is away';
    }),
  'Thirty milliseconds instead of seconds': async ({ app }) => {
    const shop = app();
    const run = () => new Promise<number>((resolve) => setTimeout(resolve, 2000, 1).unref());
    const slow = shop.task({ name: 'report', timeout: 30, run });
    await shop.worker().start();
    return (await slow.delay()).get();
  },
  '`get()` in a handler': async ({ app }) => {
    const shop = app();
    const task = hello(shop);
    return ran(shop, async () => (await task.delay()).get());
  },
  '`ctx.replace` with a value': async ({ app }) => {
    const shop = app();
    const task = shop.task({ name: 'report', run: async (_, ctx) => ctx.replace(5 as never) });
    await shop.worker().start();
    return (await task.delay()).get();
  },
  'A missing module for `isolate`': async ({ app, stores }) => {
    const shop = app({ connection: stores.open });
    const isolate = 'file:///srv/shop/tasks.js';
    const task = shop.task({ name: 'report', isolate, run: async () => 1 });
    await shop.worker().start();
    return (await task.delay()).get({ timeout: '50s' });
  },
};

const ofWorkflows: Record<string, Mistake> = {
  'An empty chain': () => (chain as unknown as () => unknown)(),
  '`.delay()` in a chain': ({ app }) => {
    const shop = app();
    const sent = hello(shop).delay();
    return chain(sent as never, add(shop) as never);
  },
  'A function in a chain': ({ app }) => chain(hello(app()), (() => 1) as never),
  'A chord without a body': ({ app }) => (chord as (header: unknown) => unknown)([hello(app())]),
  'Values in a group': () => group([1, 2] as never),
  'Steps of two apps': ({ app }) => {
    const other = app();
    return chain(hello(app()).si(), add(other).si({ x: 1, y: 2 })).delay();
  },
  'A step that does not accept the previous result': async ({ app }) => {
    const shop = app();
    const steps = chain(hello(shop), add(shop) as never) as { delay(): Promise<{ get(): unknown }> };
    await shop.worker().start();
    return (await steps.delay()).get();
  },
  'A wait without a `timeout`': ({ app }) => waitFor(paid(app()), {} as never),
  'A wait for a key that the previous result lacks': async ({ app }) => {
    const shop = app();
    const wait = waitFor(paid(shop), { key: 'order' as never, timeout: '1h' });
    const flow = chain(hello(shop), wait as never) as { delay(): Promise<{ get(): unknown }> };
    await shop.worker().start();
    return (await flow.delay()).get();
  },
  'Two waits with one key': async ({ app }) => {
    const shop = app();
    const wait = waitFor(paid(shop), { key: { text: 'A1' }, timeout: '1h' });
    await shop.worker().start();
    await wait.delay();
    while ((await shop.signals.waiting()).items.length === 0); // until it waits
    return (await wait.delay()).get();
  },
  'A signal that nobody sent': async ({ app }) => {
    const shop = app();
    await shop.worker().start();
    return (await waitFor(paid(shop), { key: { text: 'A1' }, timeout: 20 }).delay()).get();
  },
  'A loop without `max`': ({ app }) => loop(hello(app()) as never, { until: { n: 1 } } as never),
  'A moment without a time zone for `sleep.until`': async ({ app }) => {
    const shop = app();
    const flow = chain(sleep.until<{ at: string }>('at'), hello(shop).si());
    await shop.worker().start();
    return (await flow.delay({ at: '2030-01-31 09:00' })).get();
  },
};

const ofSchedules: Record<string, Mistake> = {
  'Cron with four fields': ({ app }) => {
    const shop = app();
    shop.schedule('night', { cron: '0 3 * *' }, hello(shop));
  },
  'Hour 25': ({ app }) => {
    const shop = app();
    shop.schedule('night', { cron: '0 25 * * *' }, hello(shop));
  },
  'A step longer than its field': ({ app }) => {
    const shop = app();
    shop.schedule('often', { cron: '*/90 * * * *' }, hello(shop));
  },
  'A range past the end of its field': ({ app }) => {
    const shop = app();
    shop.schedule('night', { cron: '0 3 * * fri-mon' }, hello(shop));
  },
  'A day that no month has': ({ app }) => {
    const shop = app();
    shop.schedule('night', { cron: '0 0 31 4,6 *' }, hello(shop));
  },
  'All occurrences excluded': ({ app }) => {
    const shop = app();
    shop.schedule('christmas', { cron: '0 0 25 12 *', except: { dates: ['12-25'] } }, hello(shop));
  },
  'An unknown time zone': ({ app }) => {
    const shop = app();
    shop.schedule('night', { cron: '0 3 * * *', tz: 'Europe/Zurick' }, hello(shop));
  },
  'Neither `cron` nor `every`': ({ app }) => {
    const shop = app();
    shop.schedule('night', {} as never, hello(shop));
  },
  'A schedule without the input of its task': ({ app }) => {
    const shop = app();
    shop.schedule('night', { every: '1h' }, add(shop) as never);
  },
  'A function for a schedule': ({ app }) => {
    app().schedule('night', { every: '1h' }, (async () => 1) as never);
  },
  'A schedule name used twice': ({ app }) => {
    const shop = app();
    const task = hello(shop);
    shop.schedule('night', { every: '1h' }, task);
    shop.schedule('night', { every: '2h' }, task);
  },
};

/** By the headings of the page. */
export const MISTAKES: Readonly<Record<string, Readonly<Record<string, Mistake>>>> = {
  'The store': ofTheStore,
  'Workers and results': ofWorkers,
  'Apps, tasks and options': ofDefinitions,
  Values: ofValues,
  Handlers: ofHandlers,
  Workflows: ofWorkflows,
  Schedules: ofSchedules,
};

/** An app for mistakes: in memory, and told to `log`. A store that does not answer is waited for no longer than it takes. */
export function mistakenApp(options: Partial<AppOptions>, log: string[]): App {
  const line = (message: string) => void log.push(message);
  const logger = { info: line, warn: line, error: line };
  const sendTimeout = options.connection === undefined ? '50s' : '3s';
  return createApp({ name: 'shop', connection: memory(), sendTimeout, logger, ...options });
}

/** An app with jobs, runs, schedules and waits in every state, and with hostile texts in all that users can name. */
import { chain, group, sleep, waitFor } from '@umbel/canvas';
import type { App } from '@umbel/core';
import { vi } from 'vitest';
import { z } from 'zod';

/** Runs if a text of a user becomes HTML. */
const HOSTILE = `<img src=x onerror="globalThis.isHacked=true"><script>globalThis.isHacked=true</script>`;
const SECRET = 'hunter2-of-the-demo';

export { SECRET };

const soon = { timeout: '60s' } as const;

/** Declares the tasks. */
function declareDemo(app: App) {
  let open = (_: null): void => {};
  const gate = new Promise<null>((resolve) => {
    open = resolve;
  });
  const tasks = {
    resize: app.task({
      name: 'image.resize',
      queue: 'images',
      input: z.object({ file: z.string(), width: z.number() }),
      run: async ({ file, width }, { log }) => {
        log.info(`resized ${file}`);
        return { file: `${file}.${width}.webp` };
      },
    }),
    publish: app.task({
      name: 'album.publish',
      input: z.array(z.object({ file: z.string() })),
      run: async (files) => ({ published: files.length }),
    }),
    charge: app.task({
      name: 'order.charge',
      sensitive: ['card'],
      input: z.object({
        order: z.string().describe('Number of the order'),
        cents: z.number(),
        card: z.string().optional(),
        mode: z.enum(['test', 'live']).optional(),
      }),
      run: async ({ order, cents }) => {
        if (cents <= 0)
          throw new RangeError(`order ${order} costs nothing`, { cause: new Error('no price') });
        return { order, charged: cents };
      },
    }),
    mail: app.task({
      name: 'mail.send',
      queue: 'mail',
      input: z.object({ to: z.string() }),
      retry: { attempts: 3, delay: '1h' },
      run: async ({ to }): Promise<string> => {
        throw new Error(`the mail server refused ${to}`);
      },
    }),
    draft: app.task({
      name: 'report.draft',
      input: z.object({ id: z.string() }),
      run: async ({ id }) => ({ id, pages: 12 }),
    }),
    index: app.task({ name: 'search.index', queue: 'slow', run: () => gate }),
    done: app.task({ name: 'report.done', input: z.unknown(), run: async () => null }),
    count: app.task({
      name: 'word.count',
      queue: 'images',
      input: z.object({ n: z.number() }),
      run: async ({ n }) => n,
    }),
    total: app.task({
      name: 'word.total',
      input: z.array(z.number()),
      run: async (all) => all.reduce((a, b) => a + b, 0),
    }),
  };
  const approved = app.signal({
    name: 'report.approved',
    payload: z.object({ by: z.string(), ok: z.boolean() }),
  });
  app.schedule('nightly-report', { cron: '0 3 * * *', tz: 'Europe/Zurich' }, tasks.draft.si({ id: 'n' }));
  app.schedule('hourly-index', { every: '1h' }, tasks.draft.si({ id: 'h' }));
  return { ...tasks, approved, open };
}

type Tasks = ReturnType<typeof declareDemo>;
type Ids = Awaited<ReturnType<typeof runDemo>>;

/** Runs `use` with the app of the demo. Its endless job ends afterwards, even if `use` fails: else the app never closes. */
export async function withDemo(app: App, use: (ids: Ids, tasks: Tasks) => Promise<void>): Promise<void> {
  const tasks = declareDemo(app);
  try {
    await use(await runDemo(app, tasks), tasks);
  } finally {
    tasks.open(null);
  }
}

/** Starts a worker, sends jobs, and waits until each is in its state. Returns ids. */
async function runDemo(app: App, tasks: Tasks) {
  const { resize, publish, charge, mail, draft, index, done, count, total, approved } = tasks;
  await app.worker({ name: 'demo-1', queues: ['default', 'images', 'mail', 'slow'], concurrency: 4 }).start();
  const album = await chain(
    group(['a.jpg', 'b.jpg', 'c.jpg'].map((file) => resize.s({ file, width: 800 }))),
    publish,
    done,
  ).applyAsync(undefined, { tags: ['album-7'] });
  const words = await chain(group(Array.from({ length: 60 }, (_, n) => count.s({ n }))), total).delay();
  const approval = await chain(draft, waitFor(approved, { key: 'id', timeout: '3d' }), done).delay({
    id: 'r-17',
  });
  const asleep = await chain(draft, sleep('2h'), done).delay({ id: 'r-18' });
  const broken = await chain(draft, charge.si({ order: 'o-1', cents: 0 }), done).delay({ id: 'r-19' });
  const failed = await charge.applyAsync(
    { order: HOSTILE, cents: 0, card: SECRET },
    { tags: [HOSTILE.slice(0, 90)], displayName: HOSTILE.slice(0, 90) },
  );
  const dropped = await charge.delay({ order: 'o-9', cents: -1 });
  const charged = await charge.delay({ order: 'o-2', cents: 990 });
  const retrying = await mail.delay({ to: 'ada@example.com' });
  const active = await index.delay();
  const delayed = await charge.applyAsync(
    { order: 'o-3', cents: 5 },
    { countdown: '5h', tags: ['customer-3'] },
  );
  const unserved = await app.send('legacy.import', { rows: 3 }, { queue: 'default', countdown: '6h' });
  await Promise.all([album, words, charged].map((each) => each.get(soon)));
  await Promise.all([broken, failed, dropped].map((each) => each.outcome(soon)));
  const reach = (kind: string, id: string) =>
    vi.waitFor(
      async () => {
        const reason = await app.jobs.waitReason(id);
        if (reason?.kind !== kind && reason?.text.includes(kind) !== true)
          throw new Error(`${kind}: ${reason?.text}`);
      },
      { timeout: 60_000 },
    );
  await reach('retry', retrying.id);
  await reach('signal', approval.id);
  await reach('sleep', asleep.id);
  const ids = {
    album,
    words,
    approval,
    asleep,
    broken,
    failed,
    dropped,
    charged,
    retrying,
    active,
    delayed,
    unserved,
  };
  return Object.fromEntries(Object.entries(ids).map(([name, { id }]) => [name, id])) as Readonly<
    Record<keyof typeof ids, string>
  >;
}

import { createApp, type JobFacts, type ListedJob, type ListedRun, type RunFacts } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';

const app = createApp({ name: 'types' });

test('pages hold what was looked for', async () => {
  const page = await app.jobs.list({ state: ['failed', 'expired'], since: new Date(), limit: 3 });
  expectTypeOf(page.items).toEqualTypeOf<readonly ListedJob[]>();
  expectTypeOf(page.cursor).toEqualTypeOf<string | undefined>();
  for await (const job of app.jobs.all({ task: 'email.send' })) expectTypeOf(job).toEqualTypeOf<ListedJob>();
  for await (const run of app.runs.all()) expectTypeOf(run).toEqualTypeOf<ListedRun>();
  expectTypeOf(await app.jobs.get('id')).toEqualTypeOf<JobFacts | undefined>();
  expectTypeOf(await app.runs.get('id')).toEqualTypeOf<RunFacts | undefined>();
  expectTypeOf((await app.jobs.counts()).total.failed).toEqualTypeOf<number>();
});

test('what is no query does not compile', () => {
  // @ts-expect-error nothing is stored in this state
  app.jobs.list({ state: 'unknown' });
  // @ts-expect-error a moment is a Date
  app.jobs.list({ since: '1d' });
  app.runs.list({ task: 'email.send' });
  // @ts-expect-error only jobs have an error
  app.runs.list({ error: 'Timeout' });
  // @ts-expect-error all() has its own pages
  app.jobs.all({ limit: 3 });
});

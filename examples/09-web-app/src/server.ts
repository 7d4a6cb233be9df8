import { serve } from '@hono/node-server';
import { isUmbelError } from '@umbel/core';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { app, makeReport } from './contracts.js';
import { page } from './page.js';

const routes = new Hono();

routes.get('/', (c) => c.html(page));

routes.post('/reports', async (c) => {
  const report = await makeReport.delay(await c.req.json());
  return c.json({ id: report.id }, 202);
});

routes.get('/reports/:id/events', async (c) => {
  const report = app.result(makeReport, c.req.param('id')); // the id is all that is needed, in any process
  if ((await report.state()) === 'unknown') return c.notFound();
  return streamSSE(c, async (stream) => {
    const left = new AbortController();
    stream.onAbort(() => left.abort()); // the page was closed; the report goes on
    for await (const progress of report.progress({ signal: left.signal }))
      await stream.writeSSE({ event: 'progress', data: JSON.stringify(progress) });
    if (left.signal.aborted) return; // which has ended the loop
    const outcome = await report.outcome();
    await stream.writeSSE(
      outcome.ok
        ? { event: 'done', data: JSON.stringify(outcome.value) }
        : { event: 'failed', data: outcome.error.message },
    );
  });
});

routes.onError((error, c) => {
  if (isUmbelError(error, 'VALIDATION')) return c.json({ error: error.message }, 400);
  throw error;
});

const server = serve(
  { fetch: routes.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT ?? 3000) },
  ({ port }) => console.log(`The page is at http://127.0.0.1:${port}`),
);

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    server.close();
    void app.close();
  });

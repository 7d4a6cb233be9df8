import { serve } from '@hono/node-server';
import { isUmbelError } from '@umbel/core';
import { Hono } from 'hono';
import { app, decided, links } from './app.js';
import { page } from './page.js';
import { approval } from './workflow.js';

export const routes = new Hono();

routes.get('/', async (c) => {
  const { items } = await app.signals.waiting({ name: decided.name });
  return c.html(page(items));
});

routes.post('/expenses', async (c) => {
  const { id, what, amount, approver } = await c.req.parseBody();
  const expense = { id, what, amount: Number(amount), approver } as Parameters<typeof approval.delay>[0];
  const run = await approval.applyAsync(expense, { idempotencyKey: `expense ${id}` });
  return c.json({ run: run.id }, 202);
});

routes.get('/runs/:id', async (c) => {
  const run = app.result(approval, c.req.param('id'));
  const state = await run.state();
  if (state === 'unknown') return c.notFound();
  return c.json({ state, ...(state === 'completed' && { result: await run.get() }) });
});

routes.all('/decide', (c) => links(c.req.raw)); // GET shows a page with a button, POST decides

routes.onError((error, c) => {
  if (isUmbelError(error, 'VALIDATION')) return c.json({ error: error.message }, 400);
  throw error;
});

/** Starts the server. SIGINT and SIGTERM stop it. */
export function listen(): void {
  const server = serve(
    { fetch: routes.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT ?? 3000) },
    ({ port }) => console.log(`The page is at http://127.0.0.1:${port}`),
  );
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      server.close();
      void app.close();
    });
}

/** The handler in the servers of docs/dashboard.md. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import express from 'express';
import { fastify } from 'fastify';
import { Hono } from 'hono';
import { afterEach, expect, test } from 'vitest';
import { type Dashboard, dashboard } from '../../src/index.js';
import { nodeHandler } from '../../src/node.js';

const endings: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});

function served(basePath: string): Dashboard {
  const app = createApp({ name: 'mounted', connection: memory() });
  endings.push(() => app.close());
  return dashboard(app, { basePath, onAction: () => {} });
}

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  endings.push(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Reads the page, its files and its data, and sends an action. */
async function check(address: string, send: typeof fetch = fetch): Promise<void> {
  const page = await send(`${address}/queues`);
  const html = await page.text();
  expect(html).toContain(`<base href="${new URL(address).pathname.replace(/\/$/, '')}/">`);
  const script = /src="\.\/(assets\/[^"]+\.js)"/.exec(html)?.[1];
  const asset = await send(`${address}/${script}`);
  expect(asset.headers.get('content-type')).toContain('text/javascript');
  expect((await asset.text()).length).toBeGreaterThan(10_000);
  expect(await (await send(`${address}/api/app`)).json()).toMatchObject({ name: 'mounted' });
  const action = await send(`${address}/api/actions/queue.pause`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"id":"default"}',
  });
  expect(action.status).toBe(200);
}

test('node:http', async () => {
  await check(await listen(nodeHandler(served(''))));
});

test('Hono, as a route and as a mount', async () => {
  const routes = new Hono();
  const { fetch: handler } = served('/dashboard');
  routes.all('/dashboard/*', (c) => handler(c.req.raw));
  routes.mount('/mounted', served('/mounted').fetch);
  const send = (async (url, init) => routes.request(url as string, init)) as typeof fetch;
  await check('http://localhost/dashboard', send);
  await check('http://localhost/mounted', send);
});

test('Express, before and after a parser of bodies', async () => {
  const server = express();
  server.use('/before', nodeHandler(served('/before')));
  server.use(express.json());
  server.use('/after', nodeHandler(served('/after')));
  const address = await listen(server as RequestListener);
  await check(`${address}/before`);
  await check(`${address}/after`);
});

test('Fastify, which parses bodies', async () => {
  const server = fastify();
  endings.push(() => server.close());
  const handle = nodeHandler(served('/fast'));
  server.all('/fast/*', async (request, reply) => {
    reply.hijack();
    await handle(Object.assign(request.raw, { body: request.body }), reply.raw);
  });
  await check(`${await server.listen({ port: 0, host: '127.0.0.1' })}/fast`);
});

test('a route handler of Next.js: the function itself', async () => {
  const { fetch: handler } = served('/ops');
  const [GET, POST] = [handler, handler];
  const send = (async (url, init) =>
    (init?.method === 'POST' ? POST : GET)(new Request(url as string, init))) as typeof fetch;
  await check('http://localhost/ops', send);
});

/** The handler in the servers of docs/dashboard.md. */
import 'reflect-metadata';
import { createServer, type RequestListener, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import express from 'express';
import { fastify } from 'fastify';
import { Hono } from 'hono';
import { afterEach, expect, test } from 'vitest';
import { type Dashboard, type DashboardOptions, dashboard } from '../../src/index.js';
import { nodeHandler } from '../../src/node.js';

const endings: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});

function served(basePath: string, options: DashboardOptions = {}): Dashboard {
  const app = createApp({ name: 'mounted', connection: memory() });
  endings.push(() => app.close());
  return dashboard(app, { basePath, onAction: () => {}, ...options });
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

test('NestJS, which parses bodies', async () => {
  class AppModule {}
  Module({})(AppModule);
  const server = await NestFactory.create(AppModule, { logger: false });
  endings.push(() => server.close());
  server.use('/nest', nodeHandler(served('/nest')));
  await server.listen(0, '127.0.0.1');
  await check(`${await server.getUrl()}/nest`);
});

test('a token opens the page below the base path, also where a mount removes the base path', async () => {
  const token = 'a-token-of-this-test';
  const server = express();
  server.use('/before', nodeHandler(served('/before', { token })));
  const opened = await fetch(`${await listen(server as RequestListener)}/before/queues?token=${token}`, {
    redirect: 'manual',
  });
  expect(opened.headers.get('location')).toBe('/before/queues');
  expect(opened.headers.get('set-cookie')).not.toContain('Secure');
  const evil = await served('', { token }).fetch(
    new Request(`http://localhost//evil.example/?token=${token}`),
  );
  expect(evil.headers.get('location')).toBe('/evil.example/');
});

/** Starts a proxy that removes `/team` from the path, and sets what proxies tell. */
async function proxied(target: string): Promise<string> {
  return listen((request, response) => {
    const { host: _host, ...headers } = request.headers;
    const forwarded = { 'x-forwarded-host': 'ops.example', 'x-forwarded-proto': 'https' };
    const path = `${request.url}`.replace(/^\/team/, '') || '/';
    const passed = send(
      `${target}${path}`,
      { method: request.method, headers: { ...headers, ...forwarded, 'x-forwarded-prefix': '/team' } },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    request.pipe(passed);
  });
}

test('behind a proxy, which it must trust', async () => {
  const own = { trustProxy: true };
  const authorize = () => ({ name: 'ann' }); // without it, only localhost is answered
  const trusting = served('/ops', { ...own, authorize });
  const address = await proxied(await listen(nodeHandler(trusting)));
  // A browser that does not send `Sec-Fetch-Site` sends the origin that it sees.
  const asBrowser = (origin: string) =>
    ((url, init = {}) => fetch(url, { ...init, headers: { ...init.headers, origin } })) as typeof fetch;
  await check(`${address}/team/ops`, asBrowser('https://ops.example'));
  const pause = (send: typeof fetch, url = `${address}/team/ops`) =>
    send(`${url}/api/actions/queue.pause`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"id":"default"}',
    });
  expect((await pause(asBrowser('https://evil.example'))).status).toBe(403);
  const distrustful = await proxied(await listen(nodeHandler(served('/ops', { authorize }))));
  expect((await pause(asBrowser('https://ops.example'), `${distrustful}/team/ops`)).status).toBe(403);

  // The cookie of a token, and a prefix that is no path.
  const token = 'a-token-of-this-test';
  const behind = (headers: Record<string, string>, options: DashboardOptions = own) =>
    served('/ops', { token, ...options }).fetch(
      new Request(`http://127.0.0.1/ops/queues?token=${token}`, { headers }),
    );
  const opened = await behind({ 'x-forwarded-proto': 'https, http', 'x-forwarded-prefix': '/team/' });
  expect(opened.headers.get('location')).toBe('/team/ops/queues');
  expect(opened.headers.get('set-cookie')).toMatch(/; Path=\/team\/ops; HttpOnly; SameSite=Strict; Secure$/);
  for (const prefix of ['//evil.example', '/a"><script>', 'evil', '/a;b']) {
    const { headers } = await behind({ 'x-forwarded-prefix': prefix });
    expect(headers.get('location')).toBe('/ops/queues');
  }
  const untrusted = await behind({ 'x-forwarded-prefix': '/team' }, {});
  expect(untrusted.headers.get('location')).toBe('/ops/queues');
});

test('a route handler of Next.js: the function itself', async () => {
  const { fetch: handler } = served('/ops');
  const [GET, POST] = [handler, handler];
  const send = (async (url, init) =>
    (init?.method === 'POST' ? POST : GET)(new Request(url as string, init))) as typeof fetch;
  await check('http://localhost/ops', send);
});

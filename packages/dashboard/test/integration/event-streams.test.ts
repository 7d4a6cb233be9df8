/** Server-sent events of a run in several servers: they notice a page that is left, and go on after `Last-Event-ID`. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { chain } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import express from 'express';
import { fastify } from 'fastify';
import { Hono } from 'hono';
import { expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';

const HEADERS = { 'content-type': 'text/event-stream' };

/** A run of three steps, of which the second one waits, and its events as text of server-sent events. */
function startShop() {
  const app = createApp({
    name: 'streams',
    connection: memory(),
    logger: { info() {}, warn() {}, error() {} },
  });
  onTestFinished(() => app.close());
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const step = app.task({ name: 'step', input: z.number(), run: async (n) => n + 1 });
  const hold = app.task({
    name: 'hold',
    input: z.number(),
    run: async (n) => {
      await released;
      return n + 1;
    },
  });
  const streams = { open: 0 };
  async function* eventsOf(id: string, lastEventId: string | undefined, signal: AbortSignal) {
    streams.open += 1;
    try {
      for await (const event of app.events({ id, from: lastEventId ?? 'start', signal })) {
        yield `id: ${event.position}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
        if (event.type === 'run-finished') return;
      }
    } finally {
      streams.open -= 1;
    }
  }
  return { app, streams, release, eventsOf, workflow: chain(step, hold, step) };
}

type EventsOf = ReturnType<typeof startShop>['eventsOf'];

/** The route `/events/:id` in each server, as docs/recipes.md has it. */
const SERVERS: Record<string, (eventsOf: EventsOf) => RequestListener | Promise<RequestListener>> = {
  'node:http': (eventsOf) => async (request, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const id = request.url?.split('/').at(-1) ?? '';
    response.writeHead(200, HEADERS);
    for await (const text of eventsOf(
      id,
      request.headers['last-event-id'] as string | undefined,
      gone.signal,
    ))
      response.write(text);
    response.end();
  },
  Express: (eventsOf) =>
    express().get('/events/:id', async (request, response) => {
      const gone = new AbortController();
      response.once('close', () => gone.abort());
      response.writeHead(200, HEADERS);
      for await (const text of eventsOf(request.params.id, request.get('last-event-id'), gone.signal))
        response.write(text);
      response.end();
    }) as RequestListener,
  Fastify: async (eventsOf) => {
    const server = fastify();
    server.get<{ Params: { id: string }; Headers: { 'last-event-id'?: string } }>(
      '/events/:id',
      (request, reply) => {
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort());
        const events = eventsOf(request.params.id, request.headers['last-event-id'], gone.signal);
        return reply.headers(HEADERS).send(Readable.from(events));
      },
    );
    await server.ready();
    return server.routing;
  },
  'Hono, and other handlers of a Request': (eventsOf) =>
    getRequestListener(
      new Hono().get('/events/:id', (c) => {
        const events = eventsOf(c.req.param('id'), c.req.header('last-event-id'), c.req.raw.signal);
        const body = Readable.toWeb(Readable.from(events)).pipeThrough(new TextEncoderStream() as never);
        return new Response(body as ReadableStream, { headers: HEADERS });
      }).fetch,
    ),
};

interface Seen {
  readonly id: string;
  readonly type: string;
  readonly data: { readonly runId?: string };
}

const parse = (text: string): Seen[] =>
  [...text.matchAll(/^id: (.+)\nevent: (.+)\ndata: (.+)\n\n/gm)].map(([, id = '', type = '', data = '']) => ({
    id,
    type,
    data: JSON.parse(data),
  }));

test.each(Object.keys(SERVERS))('%s', async (name) => {
  const { app, streams, release, eventsOf, workflow } = startShop();
  const server = createServer(await SERVERS[name]?.(eventsOf));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  const run = await workflow.delay(1);
  await app.worker().start();
  const address = `http://127.0.0.1:${port}/events/${run.id}`;
  const page = new AbortController();
  const { body } = await fetch(address, { signal: page.signal });
  let text = '';
  for await (const part of (body as ReadableStream<Uint8Array>).pipeThrough(
    new TextDecoderStream() as never,
  )) {
    text += part;
    if (/^event: completed\n.*\n\n/m.test(text)) break;
  }
  page.abort();
  await vi.waitFor(() => expect(streams.open).toBe(0));

  release();
  await run.get({ timeout: '50s' });
  const before = parse(text);
  const rest = await fetch(address, { headers: { 'last-event-id': before.at(-1)?.id ?? '' } });
  const after = parse(await rest.text());
  const all = parse(await (await fetch(address)).text());
  expect([...before, ...after]).toEqual(all);
  expect(all.at(-1)).toMatchObject({ type: 'run-finished', data: { runId: run.id, state: 'completed' } });
  expect(after.length).toBeGreaterThan(2);
});

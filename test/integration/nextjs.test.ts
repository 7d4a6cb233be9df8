/** Next.js as it is installed: a worker in its instrumentation, a route that sends, and one that streams events. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { packedFiles } from '../support/packed.js';
import { freePort } from '../support/redis-server.js';

const VERSIONS = ['next@16.4.6', 'react@19.3.1', 'react-dom@19.3.1', 'zod@4.6.7'];

const FILES = {
  'package.json': '{ "private": true, "type": "module" }',
  'app/layout.jsx': 'export default ({ children }) => <html><body>{children}</body></html>;',
  'app/page.jsx': 'export default () => <p>thumbnails</p>;',
  'lib/contracts.mjs': `
import { createApp, defineTask } from '@umbel/core';
import { z } from 'zod';
export const app = createApp({ name: 'nextjs', connection: process.env.UMBEL_URL });
export const input = z.object({ file: z.string().endsWith('.png') });
export const make = app.bind(defineTask({ name: 'thumbnail.make', input, output: z.object({ file: z.string() }) }));`,
  'lib/worker.mjs': `
import { app, make } from './contracts.mjs';
app.implement(make, async ({ file }, ctx) => {
  await ctx.sleep('200ms');
  return { file: file.replace('.png', '-small.png') };
});
export const worker = app.worker();`,
  'instrumentation.js': `
export async function register() {
  if (process.env.NEXT_RUNTIME !== 'nodejs') return;
  const { worker } = await import('./lib/worker.mjs');
  await worker.start();
}`,
  'app/api/thumbnails/route.js': `
import { app, input, make } from '../../../lib/contracts.mjs';
export async function POST(request) {
  const parsed = input.safeParse(await request.json());
  if (!parsed.success) return Response.json({ error: parsed.error.issues[0].message }, { status: 400 });
  const { id } = await make.delay(parsed.data);
  return Response.json({ id }, { status: 202 });
}
export async function GET(request) {
  const id = new URL(request.url).searchParams.get('id');
  const from = request.headers.get('last-event-id') ?? 'start';
  const encoder = new TextEncoder();
  const body = new ReadableStream({
    async start(controller) {
      for await (const { position, type } of app.events({ id, from, signal: request.signal })) {
        controller.enqueue(encoder.encode(\`id: \${position}\\nevent: \${type}\\n\\n\`));
        if (type === 'completed') break;
      }
      if (!request.signal.aborted) controller.close();
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
}`,
};

let folder: string;
let server: ChildProcess;
let output = '';
let address: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'umbel-nextjs-'));
  for (const [file, text] of Object.entries(FILES)) {
    mkdirSync(join(folder, dirname(file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  const env = {
    ...process.env,
    UMBEL_URL: inject('redisUrl'),
    NEXT_TELEMETRY_DISABLED: '1',
    NODE_ENV: undefined,
  };
  const run = (program: string, args: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: folder, env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${program} ${args[0]} ended with ${status}:\n${stdout}${stderr}`);
  };
  const core = packedFiles().get('@umbel/core') ?? '';
  run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...VERSIONS, core]);
  const next = join(folder, 'node_modules/next/dist/bin/next');
  run(process.execPath, [next, 'build']);
  const port = await freePort();
  address = `http://127.0.0.1:${port}/api/thumbnails`;
  server = spawn(process.execPath, [next, 'start', '--port', `${port}`], { cwd: folder, env });
  for (const stream of [server.stdout, server.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  await vi.waitFor(() => expect(output).toContain('Ready in'));
}, 900_000);
afterAll(async () => {
  const ended = once(server, 'close');
  server.kill('SIGKILL');
  await ended;
  rmSync(folder, { recursive: true, force: true });
});

const post = (body: object) => fetch(address, { method: 'POST', body: JSON.stringify(body) });
const eventsOf = (text: string) =>
  [...text.matchAll(/^id: (.+)\nevent: (.+)\n\n/gm)].map(([, id = '', type = '']) => ({ id, type }));

test('a route sends, the worker of the instrumentation runs, and the stream continues after Last-Event-ID', async () => {
  expect((await post({ file: 'cat.gif' })).status).toBe(400);
  const accepted = await post({ file: 'cat.png' });
  expect(accepted.status).toBe(202);
  const { id } = (await accepted.json()) as { id: string };
  const all = eventsOf(await (await fetch(`${address}?id=${id}`)).text());
  expect(all.map(({ type }) => type)).toEqual(['enqueued', 'started', 'completed']);
  const headers = { 'last-event-id': all[0]?.id ?? '' };
  expect(eventsOf(await (await fetch(`${address}?id=${id}`, { headers })).text())).toEqual(all.slice(1));
});

/** Who may open a dashboard, and what a page of another site can do. */
import { chain, waitFor } from '@umbel/canvas';
import { type App, createApp, InvalidOptionError, type RunGraphJson } from '@umbel/core';
import { memory } from '@umbel/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type AuditEntry, dashboard } from '../../src/index.js';
import { Client, ORIGIN } from '../support/client.js';

let app: App;
beforeEach(() => {
  app = createApp({ name: 'access', connection: memory() });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await app.close();
});

const TOKEN = 'a-long-secret-of-a-test';
const withNode = (environment: string | undefined) => vi.stubEnv('NODE_ENV', environment);

describe('a dashboard', () => {
  test('does not start outside of development without access control', () => {
    for (const environment of ['production', undefined, '']) {
      withNode(environment);
      expect(() => dashboard(app)).toThrow(InvalidOptionError);
      expect(() => dashboard(app, { can: () => true, readOnly: true })).toThrow(/authorize/);
      expect(() => dashboard(app, { token: TOKEN })).not.toThrow();
      expect(() => dashboard(app, { authorize: () => undefined })).not.toThrow();
    }
    withNode('development');
    expect(() => dashboard(app)).not.toThrow();
  });

  test('refuses invalid options', () => {
    const wrong: object[] = [
      { basePath: 'dashboard' },
      { basePath: '/a"b' },
      { basePath: '//evil.example' },
      { token: 'short' },
      { token: 'with a space, of 20 characters' },
      { token: TOKEN, authorize: () => undefined },
      { authorize: 'yes' },
      { origins: ['ops.example.com'] },
      { origins: 'https://ops.example.com' },
      { readOnly: 'yes' },
      { trustProxy: 'yes' },
      { traceUrl: 'https://{traceId}/x' },
      { traceUrl: 'javascript:alert({traceId})' },
      { traceUrl: 'https://traces.example/' },
      { autorize: () => ({ name: 'ann' }) },
    ];
    for (const options of wrong) expect(() => dashboard(app, options)).toThrow(InvalidOptionError);
  });

  test('answers on localhost only if nothing controls the access', async () => {
    const { fetch } = dashboard(app);
    expect((await fetch(new Request('http://localhost:3000/'))).status).toBe(200);
    expect((await fetch(new Request('http://127.0.0.1:3000/api/app'))).status).toBe(200);
    for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', '10.0.0.1'])
      expect((await fetch(new Request(`http://${host}/api/app`))).status).toBe(403);
    const proxied = dashboard(app, { trustProxy: true });
    const asked = (host: string) =>
      proxied.fetch(new Request('http://localhost/api/app', { headers: { 'x-forwarded-host': host } }));
    expect((await asked('localhost:3000')).status).toBe(200);
    expect((await asked('ops.example')).status).toBe(403);
  });

  test('lets in whom `authorize` returns, and returns its response', async () => {
    const login = () => Response.redirect('https://login.example/', 302);
    const client = new Client(
      dashboard(app, {
        authorize: (request) => {
          const name = request.headers.get('x-user');
          return name === 'nobody' ? undefined : name === null ? login() : { name };
        },
      }),
    );
    expect((await client.get('/')).headers.get('location')).toBe('https://login.example/');
    expect((await client.get('/', { 'x-user': 'nobody' })).status).toBe(401);
    const answer = await client.get('/api/app', { 'x-user': 'ann' });
    expect(await answer.json()).toMatchObject({ user: 'ann', name: 'access' });
  });

  test('takes user and password from the environment', async () => {
    vi.stubEnv('UMBEL_DASHBOARD_USER', 'ann');
    vi.stubEnv('UMBEL_DASHBOARD_PASSWORD', 'pass:word');
    withNode('production');
    const client = new Client(dashboard(app));
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    const refused = await client.get('/');
    expect(refused.status).toBe(401);
    expect(refused.headers.get('www-authenticate')).toContain('Basic');
    expect((await client.get('/api/app', basic('ann:wrong'))).status).toBe(401);
    expect((await client.get('/api/app', basic('ann:pass:word'))).status).toBe(200);
  });

  test('changes the token in its URL to a cookie', async () => {
    withNode('production');
    const client = new Client(dashboard(app, { token: TOKEN, basePath: '/ops' }), '/ops');
    for (const path of ['/', '/api/app', '/assets/x.js', '/?token=wrong'])
      expect((await client.get(path)).status).toBe(401);
    const opened = await client.get(`/queues?token=${TOKEN}&q=a`);
    expect(opened.status).toBe(302);
    expect(opened.headers.get('location')).toBe('/ops/queues?q=a');
    const cookie = opened.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/^umbel-dashboard-[0-9a-f]{8}=.*; Path=\/ops; HttpOnly; SameSite=Strict$/);
    const [pair = ''] = cookie.split(';');
    expect((await client.get('/api/app', { cookie: `other=1; ${pair}` })).status).toBe(200);
    expect((await client.get('/api/app', { authorization: `Bearer ${TOKEN}` })).status).toBe(200);
    expect((await client.get('/api/app', { cookie: `${pair}x` })).status).toBe(401);
  });

  test('refuses what pages of other sites send', async () => {
    const client = new Client(dashboard(app, { origins: ['https://ops.example.com'] }));
    const pause = (headers: Record<string, string>) =>
      client.post('/api/actions/queue.pause', { id: 'default' }, headers);
    const statusOf = async (headers: Record<string, string>) => (await pause(headers)).status;
    expect(await statusOf({ origin: ORIGIN })).toBe(200);
    expect(await statusOf({ origin: ORIGIN, 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(await statusOf({ origin: 'https://ops.example.com', 'sec-fetch-site': 'same-site' })).toBe(200);
    expect(await statusOf({})).toBe(200); // a program: no browser leaves both out
    expect(await statusOf({ origin: 'https://evil.example' })).toBe(403);
    expect(await statusOf({ origin: 'null' })).toBe(403);
    for (const site of ['cross-site', 'same-site', 'none'])
      expect(await statusOf({ 'sec-fetch-site': site })).toBe(403);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp'])
      expect(await statusOf({ origin: ORIGIN, 'content-type': type })).toBe(403);
    expect((await client.get('/api/app', { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await client.get('/api/app', { 'sec-fetch-site': 'none' })).status).toBe(200);
    const bad = await client.post('/api/actions/queue.pause', '[]');
    expect(bad.status).toBe(400);
    expect((await client.post('/api/actions/toString', {})).status).toBe(404);
    expect((await client.get('/api/actions/queue.pause')).status).toBe(404);
  });

  test('asks `can` for each view and each action, with its target', async () => {
    const asked: unknown[] = [];
    const entries: AuditEntry[] = [];
    const client = new Client(
      dashboard(app, {
        authorize: () => ({ name: 'ann', team: 'mail' }),
        can: ({ team }, action, target) => {
          asked.push([team, action, target]);
          return target.id !== 'secret' && action !== 'queue.purge' && action !== 'job.drop';
        },
        onAction: (entry) => entries.push(entry),
      }),
    );
    expect((await client.get('/api/jobs/secret')).status).toBe(403);
    expect((await client.get('/api/runs/secret')).status).toBe(403);
    expect((await client.get('/api/runs/secret/graph/json')).status).toBe(403);
    expect(asked.at(-1)).toEqual(['mail', 'view', { kind: 'run', id: 'secret' }]);
    const purge = await client.post('/api/actions/queue.purge', { id: 'default', confirm: 'default' });
    expect(purge.status).toBe(403);
    await client.act('queue.pause', { id: 'default' });
    expect((await client.post('/api/actions/queue.pause', { id: 'unknown' })).status).toBe(404);
    expect(entries).toMatchObject([
      { user: 'ann', action: 'queue.purge', target: { kind: 'queue', id: 'default' }, outcome: 'refused' },
      { action: 'queue.pause', outcome: 'done', at: expect.any(Date) },
      { action: 'queue.pause', outcome: 'failed', error: expect.stringContaining('unknown') },
    ]);
    const { actions } = await client.read<{ actions: string[] }>('/app');
    expect(actions).toContain('queue.pause');
    expect(actions).not.toContain('queue.purge');
  });

  test('leaves out of lists what the user may not see', async () => {
    const fail = app.task({
      name: 'fail',
      input: z.object({ secret: z.string() }),
      run: ({ secret }): string => {
        throw new Error(`no ${secret}`);
      },
    });
    const approved = app.signal({ name: 'approved' });
    let open = (_: null): void => {};
    const held = new Promise<null>((resolve) => {
      open = resolve;
    });
    const hold = app.task({ name: 'hold', run: () => held });
    const failed = [await fail.delay({ secret: 'plan-a' }), await fail.delay({ secret: 'plan-b' })];
    const run = await chain(fail.si({ secret: 'plan-c' }), hold.si()).delay();
    const wait = await chain(waitFor(approved, { timeout: 'never' }), hold.si()).delay();
    await app.worker().start();
    await Promise.all([...failed, run].map((each) => each.outcome({ timeout: '50s' })));
    const running = await hold.delay();
    const [shownJob, hiddenJob] = failed.map(({ id }) => id);
    const step = `${run.id}.0-0`;
    const hidden = new Set([hiddenJob, wait.id, running.id]);
    const asked = vi.fn((_user: object, _action: string, { id = '' }: { id?: string }) => {
      return !hidden.has(id) && !id.startsWith(`${run.id}.`);
    });
    try {
      const client = new Client(dashboard(app, { can: asked, onAction: () => {} }));
      await vi.waitFor(async () => {
        expect((await app.signals.waiting()).items).toHaveLength(1);
        expect(await app.jobs.list({ state: 'active' })).toMatchObject({ items: [{ id: running.id }] });
      });
      const text = async (path: string) => JSON.stringify(await client.read(path));
      const jobs = await text('/list/jobs?q=task:fail');
      expect(jobs).toContain(shownJob);
      expect(jobs).toContain('plan-a');
      for (const path of ['/list/jobs', `/list/jobs?q=id:${hiddenJob}`, '/dead-letters']) {
        expect(await text(path)).not.toMatch(/plan-b|plan-c/);
        expect(await text(path)).not.toContain(`"${hiddenJob}"`);
      }
      expect(await text('/list/runs')).toContain(run.id);
      expect(await text('/list/runs')).not.toContain(wait.id);
      expect(await text('/signals')).not.toContain(wait.id);
      expect(await text('/workers')).not.toContain(running.id);
      for (const path of [`/runs/${run.id}`, `/runs/${run.id}/graph/json`]) {
        const { nodes, graph = { nodes } } = await client.read<RunGraphJson & { graph?: RunGraphJson }>(path);
        expect(await text(path)).toContain(step);
        expect(graph.nodes.find(({ id }) => id === step)).not.toHaveProperty('error');
      }
      // One question for each item of a page.
      asked.mockClear();
      await client.read('/list/jobs?q=task:fail');
      expect(asked.mock.calls.length).toBeLessThanOrEqual(1 + 50);
    } finally {
      open(null);
    }
  });

  test('guards every route: nothing answers a user who may nothing', async () => {
    const client = new Client(dashboard(app, { can: () => false, onAction: () => {} }));
    const views = [
      'app',
      'counts',
      'list/jobs',
      'list/runs',
      'jobs/x',
      'runs/x',
      'runs/x/graph/json',
      'runs/x/members',
    ];
    const more = [
      'queues',
      'workers',
      'schedules',
      'dead-letters',
      'error-groups',
      'signals',
      'tasks',
      'tasks/x/inputs',
      'changes',
    ];
    for (const path of [...views, ...more]) {
      const { status } = await client.get(`/api/${path}`);
      expect({ path, status }).toEqual({ path, status: 403 });
    }
  });

  test('changes nothing when it is read-only', async () => {
    const entries: AuditEntry[] = [];
    const client = new Client(dashboard(app, { readOnly: true, onAction: (entry) => entries.push(entry) }));
    expect(await client.read('/app')).toMatchObject({ readOnly: true, actions: [] });
    const answer = await client.post('/api/actions/queue.pause', { id: 'default' });
    expect(answer.status).toBe(403);
    expect(await app.queue('default').isPaused()).toBe(false);
    expect(entries).toMatchObject([{ outcome: 'refused' }]);
  });

  test('sends every answer with a policy that allows its own files only', async () => {
    const client = new Client(dashboard(app));
    for (const path of ['/', '/jobs/x', '/api/app', '/api/missing', '/assets/missing.js']) {
      const { headers } = await client.get(path);
      const policy = headers.get('content-security-policy') ?? '';
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toMatch(/unsafe|\*|https?:|data:/);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-frame-options')).toBe('DENY');
    }
  });

  test('serves its files only', async () => {
    const client = new Client(dashboard(app));
    for (const name of ['..%2findex.html', '%2e%2e%2findex.js', 'missing.js', '..%2f..%2fpackage.json'])
      expect((await client.get(`/assets/${name}`)).status).toBe(404);
  });
});

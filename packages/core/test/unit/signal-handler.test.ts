/** Signals over HTTP: what a link allows, and what decides. */
import { waitFor } from '@umbel/canvas';
import { createApp, signalHandler } from '@umbel/core';
import type { TestApp } from '@umbel/testing';
import { testApp } from '@umbel/testing/vitest';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

const secret = 'a secret of a good thirty-two characters';
const base = 'https://shop.example/signals';

async function shop(options: Partial<Parameters<typeof signalHandler>[1]> = { secret }) {
  const app = createApp({ name: 'handler', connection: 'redis://127.0.0.1:1' });
  const approved = app.signal({
    name: 'approved',
    payload: z.object({ by: z.string(), ok: z.boolean() }),
  });
  const t = await testApp(app, { openWaits: 'allow' });
  const handle = signalHandler(app, options);
  const run = await t.start(waitFor(approved, { key: { text: 'k' }, timeout: '7d' }));
  await t.waiting();
  return { app, approved, t, handle, run };
}

const isOpen = async (t: TestApp) => (await t.waiting()).length === 1;

const post = (url: string, body?: unknown, headers: Record<string, string> = {}) =>
  new Request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });

describe('a link', () => {
  test('shows on GET and HEAD what it decides, and decides on POST', async () => {
    const { approved, t, handle, run } = await shop();
    const url = handle.link(base, approved, 'k', { expires: '1d', payload: { by: 'ann', ok: true } });
    for (const method of ['GET', 'HEAD']) {
      const shown = await handle(new Request(url, { method, headers: { accept: 'text/html' } }));
      expect(shown.status).toBe(200);
      expect(await isOpen(t)).toBe(true);
    }
    const shown = await (await handle(new Request(url, { headers: { accept: 'text/html' } }))).text();
    expect(shown).toContain('<form method="post">');
    expect(shown).toContain('&quot;by&quot;: &quot;ann&quot;');
    const asJson = await handle(new Request(url));
    expect(await asJson.json()).toEqual({ signal: 'approved', key: 'k', isOpen: true });
    const answer = await handle(post(url));
    expect([answer.status, await answer.json()]).toEqual([200, { answer: 'accepted' }]);
    expect(await run.get()).toEqual({ by: 'ann', ok: true });
    const again = await handle(post(url));
    expect([again.status, await again.json()]).toEqual([409, { answer: 'duplicate' }]);
  });

  test('that ends the wait too late says so', async () => {
    const { approved, t, handle, run } = await shop();
    const url = handle.link(base, approved, 'k', { expires: '30d', payload: { by: 'ann', ok: true } });
    await expect(run.get()).rejects.toThrow();
    const answer = await handle(post(url));
    expect([answer.status, await answer.json()]).toEqual([410, { answer: 'tooLate' }]);
    const page = await handle(post(url, undefined, { accept: 'text/html' }));
    expect([page.status, await page.text()]).toEqual([410, expect.stringContaining('too late')]);
    expect(t.now).toEqual(new Date('2030-01-08T00:00:00Z'));
  });

  test('without a payload takes that of the body, which is checked', async () => {
    const { approved, t, handle } = await shop();
    const url = handle.link(base, approved, 'k', { expires: '1d' });
    const wrong = await handle(post(url, { by: 'ann' }));
    expect(wrong.status).toBe(422);
    expect(await wrong.json()).toMatchObject({ error: 'invalid-payload', issues: [{ path: 'payload.ok' }] });
    expect((await handle(post(url, '{ by'))).status).toBe(400);
    expect(await isOpen(t)).toBe(true);
    expect((await handle(post(url, { by: 'ann', ok: true }))).status).toBe(200);
  });

  test('allows one signal of one key of one app, for its time', async () => {
    const { app, approved, t, handle } = await shop();
    const url = new URL(
      handle.link(base, approved, 'k', { expires: '1d', payload: { by: 'ann', ok: true } }),
    );
    const token = url.searchParams.get('token') ?? '';
    const [text = '', mac = ''] = token.split('.');
    const forged = (change: (grant: Record<string, unknown>) => object) => {
      const grant = JSON.parse(Buffer.from(text, 'base64url').toString());
      return `${Buffer.from(JSON.stringify(change(grant))).toString('base64url')}.${mac}`;
    };
    const refused = [
      forged((grant) => ({ ...grant, k: 'other' })),
      forged((grant) => ({ ...grant, e: Number.MAX_SAFE_INTEGER })),
      forged((grant) => ({ ...grant, p: [{ by: 'eve', ok: true }] })),
      `${text}.`,
      text,
      `${text}.${mac}.${mac}`,
      `${text}.${mac.slice(1)}`,
      '',
      'x'.repeat(10_000),
    ];
    for (const each of refused) {
      const answer = await handle(post(`${base}?token=${each}`));
      expect([each.slice(0, 20), answer.status]).toEqual([each.slice(0, 20), 403]);
    }
    const others = [
      signalHandler(createApp({ name: 'other', connection: 'redis://127.0.0.1:1' }), { secret }),
      signalHandler(app, { secret: 'another secret of thirty-two characters' }),
    ];
    for (const other of others) expect((await other(post(url.href))).status).toBe(403);
    expect(await isOpen(t)).toBe(true);
    await t.advance('1d');
    const expired = await handle(post(url.href));
    expect([expired.status, await expired.json()]).toMatchObject([410, { error: 'expired-link' }]);
    expect(await isOpen(t)).toBe(true);
  });

  test('stays valid while its secret is replaced', async () => {
    const { app, approved } = await shop();
    const before = signalHandler(app, { secret });
    const after = signalHandler(app, { secret: ['a new secret, which is long enough too', secret] });
    const url = before.link(base, approved, 'k', { expires: '1d', payload: { by: 'ann', ok: true } });
    expect((await after(post(url))).status).toBe(200);
    const fresh = after.link(base, approved, 'k', { expires: '1d', payload: { by: 'ann', ok: true } });
    expect((await before(post(fresh))).status).toBe(403);
  });

  test('may come in a header, is cached nowhere and can be framed nowhere', async () => {
    const { approved, handle } = await shop();
    const url = new URL(
      handle.link(base, approved, 'k', { expires: '1d', payload: { by: '<b>', ok: true } }),
    );
    const token = url.searchParams.get('token') ?? '';
    const shown = await handle(
      new Request(base, { headers: { authorization: `Bearer ${token}`, accept: 'text/html' } }),
    );
    expect(shown.status).toBe(200);
    expect(await shown.text()).not.toContain('<b>"');
    expect(shown.headers.get('cache-control')).toBe('no-store');
    expect(shown.headers.get('referrer-policy')).toBe('no-referrer');
    expect(shown.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  });
});

describe('a request', () => {
  test('with too long a body is refused without reading all of it', async () => {
    const { approved, t, handle } = await shop({ secret, maxBytes: 100 });
    const url = handle.link(base, approved, 'k', { expires: '1d' });
    let chunks = 0;
    const body = new ReadableStream({
      pull(controller) {
        chunks += 1;
        controller.enqueue(new Uint8Array(60));
      },
    });
    const answer = await handle(new Request(url, { method: 'POST', body, duplex: 'half' } as RequestInit));
    expect(answer.status).toBe(413);
    expect(chunks).toBeLessThan(10);
    expect(await isOpen(t)).toBe(true);
  });

  test('of another method is refused', async () => {
    const { handle } = await shop();
    const answer = await handle(new Request(base, { method: 'DELETE' }));
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
  });

  test('is answered with 503 while the store is away', async () => {
    const { approved, t, handle } = await shop();
    const url = handle.link(base, approved, 'k', { expires: '1d', payload: { by: 'ann', ok: true } });
    await t.close();
    const away = createApp({
      name: 'handler',
      connection: 'redis://127.0.0.1:1',
      sendTimeout: 50,
      logger: console,
    });
    const answer = await signalHandler(away, { secret })(post(url));
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
    await away.close();
  });

  test('without a link needs `authorize`, JSON and a target', async () => {
    const asked: unknown[] = [];
    const { t, handle, run } = await shop({
      authorize: (request, target) => {
        asked.push(target);
        return request.headers.get('x-user') === 'ann';
      },
    });
    const url = `${base}?signal=approved&key=k`;
    const payload = { by: 'ann', ok: true };
    const user = { 'x-user': 'ann' };
    expect((await handle(post(url, payload))).status).toBe(403);
    expect((await handle(post(url, payload, { ...user, 'content-type': 'text/plain' }))).status).toBe(415);
    expect((await handle(new Request(url, { headers: user }))).status).toBe(403);
    expect((await handle(post(`${base}?signal=approved`, payload, user))).status).toBe(403);
    expect((await handle(post(`${base}?signal=a%20b&key=k`, payload, user))).status).toBe(403);
    expect(asked).toEqual([{ name: 'approved', key: 'k' }]);
    expect(await isOpen(t)).toBe(true);
    expect((await handle(post(url, payload, user))).status).toBe(200);
    expect(await run.get()).toEqual(payload);
    const linked = (await shop({ secret })).handle;
    expect((await linked(post(url, payload, user))).status).toBe(403);
  });
});

test('mistakes are errors with words', async () => {
  const { app, approved } = await shop();
  expect(() => signalHandler(app, {})).toThrow('`secret`, `authorize` or both');
  expect(() => signalHandler(app, { secret: 'short' })).toThrow('at least 32 characters');
  expect(() => signalHandler(app, { secret: [] })).toThrow('`secret`');
  expect(() => signalHandler(app, { secret: 'short' })).not.toThrow('short"');
  const handle = signalHandler(app, { secret });
  // @ts-expect-error no expiry
  expect(() => handle.link(base, approved, 'k', {})).toThrow('expires');
  expect(() => handle.link('/signals', approved, 'k', { expires: '1d' })).toThrow('an absolute URL');
  expect(() => handle.link(base, approved, '', { expires: '1d' })).toThrow('1 to 500 characters');
  // @ts-expect-error not the payload
  expect(handle.link(base, approved, 'k', { expires: '1d', payload: { by: 1 } })).toContain('token=');
  const bare = signalHandler(app, { authorize: () => true });
  expect(() => bare.link(base, approved, 'k', { expires: '1d' })).toThrow('signs links');
});

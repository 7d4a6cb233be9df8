/** The server as people use it: a form, a mail with links, and the page behind a link. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { start } from '../../../test/support/example.js';
import { type RedisServer, startRedis } from '../../../test/support/redis-server.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const form = { id: 'exp-17', what: 'A <chair>', amount: '120', approver: 'ann@shop.example' };

test.for(['in memory', 'on Redis'])(
  'an expense is asked for, decided by a link and paid: %s',
  async (where, context) => {
    const url = where === 'on Redis' ? { url: redis.url } : {};
    const example = start(context, 'expense-approval', { env: { PORT: '0' }, ...url });
    const [address = ''] = /http:\S+(?=\n)/.exec(await example.wrote(/page is at http:\S+\n/)) ?? [];
    const ask = (body: Record<string, string>) =>
      fetch(`${address}/expenses`, { method: 'POST', body: new URLSearchParams(body) });

    const refused = await ask({ ...form, amount: 'much' });
    expect([refused.status, await refused.json()]).toEqual([
      400,
      { error: expect.stringContaining('input.amount') },
    ]);
    const accepted = await ask(form);
    expect(accepted.status).toBe(202);
    const { run } = (await accepted.json()) as { run: string };
    expect(await (await ask(form)).json()).toEqual({ run }); // the form was sent twice

    const mail = await example.wrote(/reject: http\S+\n/);
    expect(mail).toContain('To ann@shop.example: A <chair> for 120');
    const [, link = ''] = /approve: http:\/\/[^/]+(\S+)/.exec(mail) ?? [];
    await expect.poll(async () => (await fetch(address)).text()).toContain('<li>exp-17, since 2');
    const behind = await fetch(address + link, { headers: { accept: 'text/html' } });
    expect(await behind.text()).toContain('<form');
    expect((await fetch(address + link, { method: 'POST' })).status).toBe(200);
    const state = async () => (await fetch(`${address}/runs/${run}`)).json();
    await expect
      .poll(state)
      .toEqual({ state: 'completed', result: 'exp-17: paid, decided by ann@shop.example' });
    expect((await fetch(address + link, { method: 'POST' })).status).toBe(409);
    expect((await fetch(`${address}/runs/none`)).status).toBe(404);
    example.stop();
    expect(await example.ended).toMatchObject({ code: 0 });
  },
);

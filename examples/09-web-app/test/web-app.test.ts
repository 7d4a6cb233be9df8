/** The server and its worker, as a page uses them. */
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { blocks, readme, start } from '../../../test/support/example.js';
import { type RedisServer, startRedis } from '../../../test/support/redis-server.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const [promised = ''] = blocks(readme('09-web-app'), 'http');
const order = { title: 'Year in review', sections: 3 };

async function serve(context: TestContext, url?: string) {
  const example = start(context, '09-web-app', { env: { PORT: '0' }, ...(url !== undefined && { url }) });
  const [address = ''] = /http:\S+(?=\n)/.exec(await example.wrote(/http:\S+\n/)) ?? [];
  const post = (body: object) => fetch(`${address}/reports`, { method: 'POST', body: JSON.stringify(body) });
  return { address, post };
}

describe.each(['in memory', 'on Redis, with the worker in another process'])('%s', (where) => {
  const url = () => (where === 'in memory' ? undefined : redis.url);

  test('a route sends a call, and another one streams its progress and its end', async (context) => {
    const { address, post } = await serve(context, url());
    const accepted = await post(order);
    expect(accepted.status).toBe(202);
    const { id } = (await accepted.json()) as { id: string };

    const stream = await fetch(`${address}/reports/${id}/events`);
    expect(stream.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const events = (await stream.text()).split('\n\n').slice(0, -1);
    // A page that is slow to ask sees the latest progress first, so earlier ones may be missing.
    const all = promised.split('\n\n').slice(0, -1);
    expect(all).toHaveLength(4);
    expect(all.filter((event) => events.includes(event))).toEqual(events);
    expect(events.length).toBeGreaterThan(1);
    expect(events.at(-1)).toBe(all.at(-1));

    const again = await fetch(`${address}/reports/${id}/events`); // of a report that is there already
    expect((await again.text()).trimEnd().split('\n\n').at(-1)).toBe(all.at(-1));
  });
});

test('the server refuses what does not fit, and does not know what is not there', async (context) => {
  const { address, post } = await serve(context);
  const refused = await post({ ...order, sections: 0 });
  expect(refused.status).toBe(400);
  expect(await refused.json()).toEqual({ error: expect.stringContaining('input.sections') });
  expect((await fetch(`${address}/reports/none/events`)).status).toBe(404);
  expect(await (await fetch(address)).text()).toContain('<form>');
});

test('a page that is left ends neither the report nor the server', async (context) => {
  const { address, post } = await serve(context);
  const { id } = (await (await post({ ...order, sections: 5 })).json()) as { id: string };
  const left = new AbortController();
  const page = await fetch(`${address}/reports/${id}/events`, { signal: left.signal });
  left.abort();
  await expect(page.text()).rejects.toThrow();
  const last = await (await fetch(`${address}/reports/${id}/events`)).text();
  expect(last).toContain('event: done');
});

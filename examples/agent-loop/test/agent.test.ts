/** The agent in virtual time, with a model that the test plays; and what the example prints, on both stores. */
import { sequence } from '@umbel/testing';
import { testApp } from '@umbel/testing/vitest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocks, readme, start } from '../../../test/support/example.js';
import { type RedisServer, startRedis } from '../../../test/support/redis-server.js';
import { agent, app, ask, calculate, check, plan, search } from '../src/agent.js';

const QUESTION = 'How much longer is the Aare than the Reuss?';
const FACTS = ['The Aare is 288 km long', 'The Reuss is 164 km long', '288 - 164 = 124'];

describe('the agent', () => {
  test('plans, uses its tools and checks, until the question is answered', async () => {
    const t = await testApp(app);
    const { value, stopped } = await t.run(agent, ask(QUESTION));
    expect({ stopped, facts: value.facts }).toEqual({ stopped: 'done', facts: FACTS });
    for (const task of [plan, search, calculate, check]) expect(t).toHaveRun(task, { times: 3 });
  });

  test('stops before a turn that would start beyond its budget', async () => {
    const t = await testApp(app);
    t.fake(plan, (state) => ({ ...state, search: 'nothing', expression: 'nothing', cents: 7 }));
    const { value, stopped } = await t.run(agent, ask(QUESTION));
    expect([stopped, value.isAnswered]).toEqual(['budget', false]);
    expect(t).toHaveRun(plan, { times: 3 }); // 7, 14, 21: the fourth turn would start beyond 20
  });

  test('gives up after ten turns', async () => {
    const t = await testApp(app);
    t.fake(plan, (state) => ({ ...state, search: 'nothing', expression: 'nothing', cents: 0 }));
    expect((await t.run(agent, ask(QUESTION))).stopped).toBe('max');
    expect(t).toHaveRun(plan, { times: 10 });
  });

  test('asks an overloaded model again, and is resumed at the turn in which a tool failed', async () => {
    const t = await testApp(app);
    const busy = new Error('the model is overloaded');
    const planned = { ...ask(QUESTION), search: 'length of the Aare', expression: '3 - 1', cents: 1 };
    t.fake(plan, sequence(busy, busy, planned));
    t.fake(search, sequence(new Error('the library is closed'), 'The Aare is 288 km long'));
    const run = await t.start(agent, ask(QUESTION));
    await expect(run.get()).rejects.toThrow('the library is closed');
    expect(t).toHaveRun(plan, { times: 3 });
    await run.resume();
    expect((await run.get()).stopped).toBe('done');
    expect(t).toHaveRun(plan, { times: 3 }); // its result was kept
    expect(t).toHaveRun(search, { times: 2 });
  });
});

describe('the program prints what its page says', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis(undefined, { durable: true });
  });
  afterAll(() => redis.stop());

  test.for(['in memory', 'on Redis'])('%s', async (where, context) => {
    const example = start(context, 'agent-loop', where === 'on Redis' ? { url: redis.url } : {});
    const { code, stdout, stderr } = await example.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(blocks(readme('agent-loop'), 'text')[0]);
  });
});

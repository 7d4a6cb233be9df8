/** The code that the packages show on their own pages compiles, and prints what it says. */
import { afterAll, beforeAll } from 'vitest';
import { testPages } from '../support/page-tests.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';

/** As one is set up for work: of another, the programs would say what to change. */
let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis('redis-server', { durable: true });
});
afterAll(() => redis.stop());

testPages(['packages/core/README.md', 'packages/canvas/README.md', 'packages/testing/README.md'], () => ({
  UMBEL_URL: redis.url,
}));

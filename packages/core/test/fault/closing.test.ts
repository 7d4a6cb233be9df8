/** Apps and workers that are closed while something is under way, in processes that must end by themselves. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, inject, test } from 'vitest';
import { sized } from '../../../../test/support/length.js';

const program = fileURLToPath(new URL('./closing-program.mjs', import.meta.url));
/** At how many of its steps something is closed, at most. */
const PLACES = sized(15, 80);

interface Found {
  /** Of steps. */
  readonly count?: number;
  readonly problems: readonly string[];
}

/** What a program has found that has ended by itself. */
async function found(store: string, scenario: string): Promise<Found> {
  const args = [program, store, `closing-${randomUUID()}`, scenario, `${PLACES}`];
  // It ends itself when something hangs, and says what.
  const { stdout } = await promisify(execFile)(process.execPath, args).catch(
    (error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }),
  );
  const lines = stdout.trim().split('\n');
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0] ?? '') as Found;
}

/** Where nobody listens. */
async function closedPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe.each(['memory', 'redis'])('on %s, a close at each connection and command of', (engine) => {
  test.each([
    ['a start of a worker', 'start', 20],
    ['a start of a worker, of the worker alone', 'close-worker', 20],
    ['a queue that a worker is to serve', 'add-queue', 3],
    ['calls of every kind', 'calls', 50],
  ])(
    '%s ends all of it',
    async (_, scenario, least) => {
      const { count, problems } = await found(engine === 'memory' ? engine : inject('redisUrl'), scenario);
      expect(problems).toEqual([]);
      expect(count).toBeGreaterThan(least);
    },
    300_000,
  );
});

test('a close while the store is away ends what waits for it', async () => {
  const store = `redis://127.0.0.1:${await closedPort()}`;
  expect(await found(store, 'away')).toEqual({ problems: [] });
}, 300_000);

test('a close while a worker of several processes starts leaves none of them behind', async () => {
  expect(await found(inject('redisUrl'), 'supervised')).toEqual({ problems: [] });
}, 300_000);

/** Every numbered example prints what its page says: in memory and on Redis. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { blocks, folder, names, readme, start } from '../support/example.js';
import { sized } from '../support/length.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';

/** What runs until it is stopped: the last line that it prints ends with its address. */
const SERVERS = ['09-web-app', '13-bull-board'];

/** What leaves something in the store that a second run finds. */
const LASTING = ['07-schedule', '08-testing'];

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis(undefined, { durable: true }); // without a log of its writes, workers would warn
});
afterAll(() => redis.stop());

const promisedBy = (name: string) => blocks(readme(name), 'text')[0];

async function outputOf(test: TestContext, name: string, url?: string): Promise<string> {
  const example = start(test, name, { env: { PORT: '0' }, ...(url !== undefined && { url }) });
  let printed: string | undefined;
  if (SERVERS.includes(name)) {
    printed = (await example.wrote(/http:\S+\n$/)).replace(/127\.0\.0\.1:\d+/, '127.0.0.1:3000');
    example.stop();
  }
  const { code, stdout, stderr } = await example.ended;
  test.expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return printed ?? stdout;
}

describe.concurrent('every example prints what its page says', () => {
  // A short run takes each example once.
  test.for(
    sized(
      names.filter((_, index) => index % 2 === 0),
      names,
    ),
  )('in memory: %s', async (name, test) => {
    test.expect(await outputOf(test, name)).toBe(promisedBy(name));
  });

  test.for(
    sized(
      names.filter((_, index) => index % 2 === 1),
      names,
    ),
  )('on Redis: %s', async (name, test) => {
    test.expect(await outputOf(test, name, redis.url)).toBe(promisedBy(name));
    if (LASTING.includes(name)) test.expect(await outputOf(test, name, redis.url)).toBe(promisedBy(name));
  });
});

describe.each(names)('%s', (name) => {
  test('is started by the command of its page', () => {
    expect(blocks(readme(name), 'sh')[0]).toBe(`npm start --workspace examples/${name}\n`);
    const { scripts } = JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8'));
    expect(scripts.start).toBe('tsc -b && node dist/main.js');
  });

  test('is short', () => {
    const lines = readdirSync(join(folder, name, 'src'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .flatMap(({ parentPath, name: file }) =>
        readFileSync(join(parentPath, file), 'utf8').trim().split('\n'),
      );
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.length).toBeLessThanOrEqual(120);
  });
});

test('examples/README.md names every example', () => {
  const page = readFileSync(join(folder, 'README.md'), 'utf8');
  const linked = [...page.matchAll(/\]\(([\w-]+)\)/g)].map(([, name]) => name);
  const present = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(linked.toSorted()).toEqual(present.map((entry) => entry.name).toSorted());
});

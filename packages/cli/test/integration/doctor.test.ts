import { Redis } from 'ioredis';
import { describe, expect, inject, test } from 'vitest';
import { documents, project } from '../support/project.js';

interface Check {
  readonly id: string;
  readonly status: string;
  readonly message: string;
  readonly details?: readonly string[];
}

const checksOf = (stdout: string): Map<string, Check> =>
  new Map(((documents(stdout)[0]?.checks ?? []) as Check[]).map((check) => [check.id, check]));

describe('umbel doctor', { timeout: 300_000 }, () => {
  test('finds nothing wrong where nothing is', async () => {
    const { umbel, name } = project();
    const { code, stdout, stderr } = await umbel(['doctor', '-A', './tasks.ts']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'loaded\n' });
    expect(stdout).toContain(`✓ app "${name}", 3 tasks, 2 queues`);
    expect(stdout).toContain('✓ maxmemory-policy is noeviction');
    expect(stdout).toMatch(/✓ umbel \d.*, @umbel\/core \d.*, bullmq 6\./);
    expect(stdout).toMatch(/0 errors, \d warnings?\n$/);
  });

  test('finds what waits in vain, and queued jobs that do not fit the code any more', async () => {
    const { umbel, app, name } = project();
    const sender = app({ queues: ['slow'] });
    const bad = await sender.send('add', { a: '1' });
    await sender.send('gone', {}, { queue: 'slow' });
    const run = await umbel(['run', './tasks.ts#pipeline', '-i', '{"a":1,"b":2}']);
    const first = `${run.stdout.trim()}.0-0`;
    const redis = new Redis(inject('redisUrl'));
    const key = (suffix: string) => `umbel:{${name}}:default:${suffix}`;
    await redis.lrem(key('wait'), 1, first);
    await redis.del(key(first));
    redis.disconnect();
    const { code, stdout } = await umbel(['doctor', '-A', './tasks.ts', '--json']);
    expect(code).toBe(1);
    expect(documents(stdout)[0]).toMatchObject({ version: 1, kind: 'doctor', ok: false });
    const checks = checksOf(stdout);
    expect(checks.get('stuck')).toMatchObject({
      status: 'error',
      message: 'of 2 waiting steps, 1 will never start',
    });
    expect(checks.get('queued')).toMatchObject({
      status: 'error',
      details: [
        `add ${bad.id} in default: input.a: Invalid input: expected number, received string; input.b: Invalid input: expected number, received undefined`,
        expect.stringMatching(/^gone .* in slow: unknown task$/),
      ],
    });
    expect(await bad.state()).toBe('waiting');
  });

  test('needs no code for the store', async () => {
    const { umbel, name, app } = project();
    await app({ queues: ['default'] })
      .worker({ handleSignals: false })
      .start();
    const { code, stdout } = await umbel(['doctor', '--name', name]);
    expect(code, stdout).toBe(0);
    expect(stdout).toContain("0 queued jobs; their inputs are checked only with the app's code");
  });

  test('tells a store that evicts keys', async () => {
    const { umbel, write } = project();
    // A server that answers as one that is set up badly.
    write(
      'evicting.ts',
      "import { app } from './tasks.js';\nconst diagnose = app.diagnose.bind(app);\napp.diagnose = async (options) => ({ ...(await diagnose(options)), store: { isCluster: false, version: '4.0.1', evictionPolicy: 'allkeys-lru', clockOffsetMs: -65_000 } });\nexport { app };\n",
    );
    const { code, stdout } = await umbel(['doctor', '-A', './evicting.ts']);
    expect(code).toBe(1);
    expect(stdout).toContain('✗ maxmemory-policy is allkeys-lru\n    Redis loses jobs');
    expect(stdout).toContain('✗ Redis 4.0.1\n');
    expect(stdout).toContain("! this machine's clock is 1m05s behind the store's");
  });

  test.each([
    [['-A', './absent.ts'], 4, 'app'],
    [['--name', 'shop', '-b', 'redis://127.0.0.1:1'], 69, 'connection'],
  ])('with %j still tells the rest', async (args, code, id) => {
    const { umbel } = project();
    const ended = await umbel(['doctor', ...args, '--json']);
    expect(ended.code).toBe(code);
    expect(checksOf(ended.stdout).get(id)).toMatchObject({ status: 'error' });
    expect(checksOf(ended.stdout).get('node')).toMatchObject({ status: 'ok' });
  });
});

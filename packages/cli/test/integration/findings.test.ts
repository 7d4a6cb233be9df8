/** What status, doctor and top make of names that are wrong, of jobs that nobody takes, and of a store that goes away. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { documents, project } from '../support/project.js';

const quiet = { info() {}, warn() {}, error() {} };

describe('an app', { timeout: 300_000 }, () => {
  test('whose name is misspelt is not known, and others are listed', async () => {
    const own = project();
    const app = own.app({ logger: quiet });
    await app.task({ name: 'a', run: () => 1 }).delay();
    const wrong = `${own.name}x`;
    for (const command of ['status', 'top']) {
      const ended = await own.umbel([command, '--name', wrong]);
      expect(ended.code).toBe(3);
      expect(ended.stderr).toContain(`no data of app "${wrong}"`);
      expect(ended.stderr).toContain(own.name);
    }
    const doctor = await own.umbel(['doctor', '--name', wrong]);
    expect(doctor.code).toBe(1);
    expect(doctor.stdout).toContain(`no data of app "${wrong}"`);
    expect((await own.umbel(['status', '--name', wrong])).code).toBe(3); // looking has not made it known
  });

  test('is told of jobs that no worker takes, and of a paused queue', async () => {
    const own = project();
    const app = own.app({ queues: ['default', 'slow'], logger: quiet });
    const a = app.task({ name: 'a', run: () => 1 });
    const b = app.task({ name: 'b', queue: 'slow', run: () => 1 });
    await app.queue('slow').pause();
    for (const task of [a, a, b]) await task.delay();
    const [status, doctor] = await Promise.all(
      ['status', 'doctor'].map((command) => own.umbel([command, '--name', own.name])),
    );
    expect(status).toMatchObject({ code: 0 });
    expect(doctor).toMatchObject({ code: 1 });
    for (const { stdout } of [status, doctor] as { stdout: string }[]) {
      expect(stdout).toContain('2 jobs wait in queue default, which no worker serves');
      expect(stdout).toContain('queue slow is paused; 1 job waits');
    }
  });

  test('is told of a worker that was killed with jobs, and of the limit that they fill', async () => {
    const own = project();
    const app = own.app({ queues: ['slow'], logger: quiet });
    const held = app.task({ name: 'held', queue: 'slow', run: () => 1 });
    await app.queue('slow').setConcurrency(2);
    own.write(
      'held.ts',
      `import { createApp } from '@umbel/core';
export const app = createApp({ name: '${own.name}' });
export const held = app.task({ name: 'held', queue: 'slow', run: () => new Promise<number>(() => {}) });
`,
    );
    const flags = ['worker', '-A', './held.ts', '-n', 'killed', '-q', 'slow'];
    const worker = own.start(flags);
    await worker.prints('ready');
    const sent = await held.sendMany([undefined, undefined, undefined]);
    expect(sent).toHaveLength(3);
    const seen = async () => (await app.inspect.workers())[0];
    await expect.poll(async () => (await seen())?.active, { timeout: 20_000 }).toBe(2);
    worker.child.kill('SIGKILL');
    await worker.ended;
    await expect.poll(async () => (await seen())?.state, { timeout: 40_000 }).toBe('missing');
    const doctor = await own.umbel(['doctor', '--name', own.name]);
    expect(doctor.stdout).toMatch(/2 jobs of queue slow are held by missing worker killed, last seen .* ago/);
    expect(doctor.stdout).toContain('they use up the concurrency limit of 2');
    expect(doctor.stdout).toContain('worker killed is missing');
    expect(doctor.code).toBe(1);
    const queues = await own.umbel(['inspect', 'queues', '--name', own.name]);
    expect(queues.stdout).toContain('2 held by missing killed');
  });
});

test('top goes on while the store is away, and says so', { timeout: 300_000 }, async () => {
  const own = project();
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const server = () => {
    const child = spawn('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', ''], {
      stdio: 'ignore',
      cwd: own.folder,
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  };
  const url = `redis://127.0.0.1:${port}`;
  const redis = new Redis(url, { retryStrategy: () => 100, maxRetriesPerRequest: null });
  redis.on('error', () => {});
  onTestFinished(() => redis.disconnect());
  const first = server();
  await redis.ping();
  await own
    .app({ connection: url, logger: quiet })
    .task({ name: 'a', run: () => 1 })
    .delay();
  const args = ['top', '--name', own.name, '--json', '--interval', '200ms', '-b', url];
  const top = own.start(args);
  await top.prints('"kind":"top"');
  first.kill('SIGKILL');
  await once(first, 'exit');
  await top.prints('The store has not answered for');
  server();
  await redis.ping();
  await top.prints('The store answers again.');
  const count = documents(top.stdout()).length;
  await expect.poll(() => documents(top.stdout()).length, { timeout: 20_000 }).toBeGreaterThan(count + 1);
  top.child.kill('SIGINT');
  expect((await top.ended).code).toBe(0);
});

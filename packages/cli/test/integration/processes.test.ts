import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { project } from '../support/project.js';

const within = { timeout: 30_000 };
const soon = { timeout: '50s' } as const;

test('a worker of several processes is one to whoever looks, and starts anew when a module changes', {
  timeout: 300_000,
}, async () => {
  const { start, app, write, folder } = project();
  const worker = start(['worker', './tasks.ts', '--processes', '2', '--watch', '-n', 'several']);
  await worker.prints('ready');
  const own = app();
  const [info] = await own.inspect.workers();
  expect(info).toMatchObject({ name: 'several', state: 'online', processes: { length: 2 } });
  const before = info?.processes.map(({ pid }) => pid) ?? [];
  expect(before).not.toContain(worker.child.pid);
  expect(await (await own.send('add', { a: 1, b: 2 })).get(soon)).toEqual({ sum: 3 });

  write('tasks.ts', readFileSync(join(folder, 'tasks.ts'), 'utf8').replace('sum * 2', 'sum * 3'));
  await vi.waitFor(async () => {
    const pids = (await own.inspect.workers()).flatMap(({ processes }) => processes.map(({ pid }) => pid));
    expect(pids).toHaveLength(2);
    for (const pid of before) expect(pids).not.toContain(pid);
  }, within);
  expect(await (await own.send('double', { sum: 2 })).get(soon)).toBe(6);

  worker.child.kill('SIGTERM');
  const { code, stdout, stderr } = await worker.ended;
  expect(code).toBe(0);
  expect(stderr.match(/ {2}worker {3}several/g)).toHaveLength(1);
  expect(stdout.match(/ {2}ready/g)).toHaveLength(1);
  expect(stdout).toMatch(/tasks\.ts changed: worker several restarts/);
  expect(stdout).toMatch(/closed after a signal; 2 attempts completed/);
});

test('several processes do what there is to do, and end', { timeout: 300_000 }, async () => {
  const { umbel, app } = project();
  await app().send('add', { a: 1, b: 2 });
  await app().send('add', { a: -1, b: 2 });
  const ended = await umbel(['worker', './tasks.ts', '--processes', '2', '--until-empty']);
  expect(ended.stdout).toMatch(/1 attempt completed, 1 failed/);
  expect(ended.code).toBe(1);
});

test('schedules are stored as a worker starts, unless it is told not to', { timeout: 300_000 }, async () => {
  const { umbel, app, write, folder } = project();
  write(
    'tasks.ts',
    `${readFileSync(join(folder, 'tasks.ts'), 'utf8')}
app.schedule('nightly', { cron: '0 3 * * *', tz: 'UTC' }, add.s({ a: 1, b: 2 }));
`,
  );
  await umbel(['worker', './tasks.ts', '--until-empty', '--without-schedules']);
  expect(await app().schedules.list()).toEqual([]);
  await umbel(['worker', './tasks.ts', '--until-empty', '--with-schedules']);
  expect(await app().schedules.list()).toMatchObject([{ name: 'nightly' }]);
  expect((await umbel(['worker', './tasks.ts', '--with-schedules', '--without-schedules'])).code).toBe(2);
});

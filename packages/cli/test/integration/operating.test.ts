import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { chain, group, loop, sleep, waitFor } from '@umbel/canvas';
import type { App } from '@umbel/core';
import { Queue } from 'bullmq';
import { describe, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { documents, project } from '../support/project.js';

const soon = { timeout: '50s' } as const;
const within = { timeout: 15_000 };

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/;

/** An app with a worker in this process, which commands in others look at. */
async function shop() {
  const own = project();
  const app = own.app({ queues: ['default', 'slow', 'mail'], logger: { info() {}, warn() {}, error() {} } });
  let letGo = () => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const add = app.task({
    name: 'add',
    input: z.object({ a: z.number() }),
    run: ({ a }) => {
      if (a < 0) throw new RangeError(`negative: ${a}`);
      return { a: a + 1 };
    },
  });
  const held = app.task({
    name: 'held',
    queue: 'slow',
    run: async (_, { signal }) => {
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
      await Promise.race([gone, aborted]);
      return 'done';
    },
  });
  const total = app.task({
    name: 'total',
    input: z.array(z.object({ a: z.number() })),
    run: (all) => all.length,
  });
  const umbel = (...args: string[]) => own.umbel([...args, '--name', own.name]);
  /** The one document that a command prints, and how it ends. */
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await umbel(...args, '--json');
    const [document, ...more] = documents(stdout);
    expect([stderr, more]).toEqual([expect.any(String), []]);
    return { code, stderr, ...document } as Record<string, unknown> & { code: number; stderr: string };
  };
  const startWorker = (options: Parameters<App['worker']>[0] = {}) =>
    app.worker({ name: 'w1', queues: ['default', 'slow'], handleSignals: false, ...options }).start();
  return { ...own, run: own.umbel, app, add, held, total, umbel, json, letGo: () => letGo(), startWorker };
}

describe('commands of an operator whose clock is wrong', { timeout: 300_000 }, () => {
  test.each([3_600_000, -3_600_000])('take and show times by that of the store: %i ms', async (offset) => {
    const { add, run, name, write, folder, startWorker } = await shop();
    write('shift.mjs', `const real = Date.now; Date.now = () => real() + ${offset};`);
    const env = { NODE_OPTIONS: `--import=${folder}/shift.mjs` };
    const umbel = (...args: string[]) => run([...args, '--name', name], { env });
    await startWorker();
    await (await add.delay({ a: 1 })).get(soon);
    const { id } = await add.applyAsync({ a: 2 }, { countdown: '30m' });
    const recent = await umbel('jobs', 'list', '--state', 'completed', '--since', '10m');
    expect(recent.stdout).toMatch(/\d(ms|s) ago/);
    expect((await umbel('jobs', 'list', '--state', 'completed', '--until', '10m')).stdout).not.toContain(
      'add',
    );
    const scheduled = await umbel('inspect', 'scheduled');
    expect(scheduled.stdout).toContain(id);
    expect(scheduled.stdout).toMatch(/in (30m|29m)/);
    expect((await umbel('inspect', 'ping')).stdout).toContain('w1');
    expect((await umbel('doctor')).stdout).toMatch(offset > 0 ? /ahead of/ : /behind/);
  });
});

describe('commands of operators', { timeout: 300_000 }, () => {
  test('look at workers, queues, jobs and runs', async () => {
    const { app, add, held, total, umbel, json, letGo, startWorker } = await shop();
    await startWorker();
    const run = await chain(group([1, 2].map((a) => add.s({ a }))), total).delay();
    await run.get(soon);
    const bad = await chain(group([-1, 2].map((a) => add.s({ a }))), total).delay();
    expect((await bad.outcome(soon)).ok).toBe(false);
    const running = await held.delay();
    await vi.waitFor(async () => expect(await running.state()).toBe('active'), within);
    const later = await add.applyAsync({ a: 3 }, { countdown: '1h', tags: ['t'] });

    const [status, workers, queues, active, scheduled, reserved, registered, stats, conf, ping] =
      await Promise.all([
        json('status'),
        json('inspect', 'workers'),
        json('inspect', 'queues'),
        json('inspect', 'active'),
        json('inspect', 'scheduled'),
        json('inspect', 'reserved', '--queue', 'default'),
        json('inspect', 'registered'),
        json('inspect', 'stats', '-w', 'w1'),
        json('inspect', 'conf'),
        json('inspect', 'ping', '--timeout', '5s'),
      ]);
    expect(status).toMatchObject({
      code: 0,
      version: 1,
      kind: 'status',
      workers: { online: 1, missing: 0, concurrency: 20 },
      queues: [
        { name: 'default', counts: { delayed: 1 } },
        { name: 'slow', counts: { active: 1 } },
      ],
      notes: [],
    });
    expect(workers).toMatchObject({ kind: 'workers', workers: [{ name: 'w1', state: 'online' }] });
    expect(queues).toMatchObject({
      kind: 'queues',
      queues: [{ name: 'default' }, { name: 'slow', workers: ['w1'] }],
    });
    expect(active).toMatchObject({
      kind: 'active',
      workers: { w1: [{ id: running.id, task: 'held' }] },
      errors: {},
      missing: [],
    });
    expect(scheduled).toMatchObject({
      kind: 'scheduled',
      jobs: [{ id: later.id, dueAt: expect.any(String) }],
    });
    expect(reserved).toMatchObject({ kind: 'reserved', jobs: [] });
    expect(registered).toMatchObject({
      kind: 'registered',
      workers: { w1: [{ name: 'add', input: { type: 'object' } }, {}, {}] },
    });
    expect(stats).toMatchObject({ kind: 'stats', workers: { w1: { counts: { failed: 2 } } } });
    expect(conf).toMatchObject({ kind: 'conf', workers: { w1: { lockDurationMs: 30_000 } } });
    expect(ping).toMatchObject({
      code: 0,
      kind: 'ping',
      workers: { w1: { roundTripMs: expect.any(Number) } },
    });

    const [jobs, some, job, runs, failed, tree, graph, text] = await Promise.all([
      json('jobs', 'list', '--task', 'add'),
      json('jobs', 'list', '--state', 'delayed', '--tag', 't'),
      json('jobs', 'show', later.id),
      json('runs', 'list', '--limit', '1'),
      json('runs', 'show', bad.id),
      umbel('runs', 'tree', bad.id),
      json('runs', 'graph', run.id),
      umbel('jobs', 'list', '--state', 'active'),
    ]);
    expect(jobs).toMatchObject({ kind: 'jobs', jobs: { length: 5 } });
    expect(some).toMatchObject({ jobs: [{ id: later.id, state: 'delayed' }] });
    expect(job).toMatchObject({
      kind: 'job-details',
      job: { id: later.id, input: { a: 3 }, tags: ['t'] },
      logs: [],
    });
    expect(runs).toMatchObject({
      kind: 'runs',
      runs: [{ id: bad.id, state: 'failed' }],
      cursor: expect.any(String),
    });
    expect(failed).toMatchObject({ kind: 'run-details', run: { error: { message: 'negative: -1' } } });
    expect(tree.stdout).toMatch(
      new RegExp(`^${bad.id}  failed\n├─ ✗ add +failed .*negative: -1\n└─ . add .*\n. total .*\n$`),
    );
    expect(graph).toMatchObject({ kind: 'graph', id: run.id, nodes: { length: 3 } });
    expect(text.stdout).toMatch(new RegExp(`^ID\tTASK\tSTATE.*\n${running.id}\theld\tactive\tslow\t.*\n$`));
    const more = await json('runs', 'list', '--cursor', String(runs.cursor));
    expect(more).toMatchObject({ runs: [{ id: run.id }] });
    expect(more).not.toHaveProperty('cursor');
    letGo();
    await running.get(soon);
    await app.close();
  });

  test('stop what a run has left behind that has ended', async () => {
    const { app, add, held, json, startWorker } = await shop();
    await startWorker({ queues: { default: 1, slow: 1 } });
    const run = await group([add.s({ a: -1 }), held, held]).delay();
    expect((await run.outcome(soon)).ok).toBe(false);
    const states = async () =>
      (await Promise.all(['0.1', '0.2'].map((path) => app.result(`${run.id}.${path}`).state()))).toSorted();
    await vi.waitFor(async () => expect(await states()).toEqual(['active', 'waiting']), within);
    expect(await json('control', 'terminate', run.id)).toMatchObject({ code: 0, revoked: 1 });
    await vi.waitFor(async () => expect(await states()).toEqual(['revoked', 'revoked']), within);
    expect(await run.state()).toBe('failed');
    expect(await json('control', 'terminate', run.id)).toMatchObject({ revoked: 0 });
  });

  test('direct workers, queues and jobs', async () => {
    const { app, add, held, umbel, json, startWorker } = await shop();
    const worker = await startWorker();
    const [one, two] = [await held.delay(), await add.applyAsync({ a: 1 }, { countdown: '1h' })];
    const tagged = await add.applyAsync({ a: 1 }, { countdown: '1h', tags: ['x'] });
    await vi.waitFor(async () => expect(await one.state()).toBe('active'), within);
    expect(await json('control', 'revoke', two.id)).toMatchObject({ code: 0, kind: 'revoked', revoked: 1 });
    expect(await umbel('control', 'revoke', two.id)).toMatchObject({
      stdout: '0 revoked, 1 already ended\n',
    });
    const asked = await umbel('control', 'revoke', '--tag', 'x');
    expect(asked).toMatchObject({ code: 2, stdout: '' });
    expect(asked.stderr).toContain('To confirm, pass --yes.');
    expect(await tagged.state()).toBe('delayed');
    expect(await json('control', 'revoke', '--tag', 'x', '--yes')).toMatchObject({ revoked: 1 });
    expect(await json('control', 'terminate', one.id)).toMatchObject({ revoked: 1 });
    expect((await one.outcome(soon)).ok).toBe(false);

    expect(await json('control', 'pause', 'slow')).toMatchObject({ kind: 'paused', queue: 'slow' });
    expect(await app.queue('slow').isPaused()).toBe(true);
    expect((await umbel('status')).stdout).toContain('! queue slow is paused; 0 jobs wait');
    await Promise.all([
      umbel('control', 'resume', 'slow'),
      umbel('control', 'rate-limit', 'slow', '7/m'),
      umbel('control', 'concurrency', '3', '--total', '--queue', 'slow'),
    ]);
    expect((await app.inspect.queues()).find(({ name }) => name === 'slow')).toMatchObject({
      isPaused: false,
      concurrency: 3,
      rateLimit: { max: 7, durationMs: 60_000 },
    });
    await umbel('control', 'rate-limit', 'slow', 'none');
    expect((await app.inspect.queues()).find(({ name }) => name === 'slow')).toMatchObject({
      rateLimit: null,
    });

    expect(await json('control', 'concurrency', '4', '--queue', 'slow')).toMatchObject({
      kind: 'concurrency',
      workers: { w1: { queues: { slow: { concurrency: 4 } } } },
    });
    expect((await umbel('control', 'add-queue', 'mail')).stdout).toContain('mail=10');
    expect(worker.queues).toContain('mail');
    const refused = await json('control', 'concurrency', '4', '--queue', 'nowhere');
    expect(refused).toMatchObject({ code: 1, errors: { w1: expect.any(String) } });
    expect(refused.stderr).toContain('w1: ');
    await umbel('control', 'cancel-queue', 'mail');
    expect(worker.queues).not.toContain('mail');

    expect(await umbel('control', 'shutdown')).toMatchObject({ code: 2, stdout: '' });
    expect(await umbel('control', 'shutdown', '--yes')).toMatchObject({
      code: 0,
      stdout: 'w1 is shutting down\n',
    });
    await worker.closed;
    const silent = await umbel('inspect', 'ping');
    expect(silent).toMatchObject({ code: 75, stdout: '' });
    expect(silent.stderr).toContain('No worker answered.');
  });

  test('replay and discard what has failed', async () => {
    const { add, umbel, json, startWorker } = await shop();
    await startWorker();
    const sent = await add.sendMany([{ a: -1 }, { a: -2 }, { a: -3 }]);
    for (const each of sent) await each.outcome(soon);
    const [one, two, three] = sent.map(({ id }) => id) as [string, string, string];
    expect(await json('dead', 'list', '--error', 'RangeError')).toMatchObject({
      kind: 'dead-letters',
      letters: { length: 3 },
    });
    expect(await json('dead', 'show', one)).toMatchObject({
      kind: 'dead-letter',
      letter: { id: one, input: { a: -1 }, canReplay: true },
    });
    expect((await umbel('dead', 'show', one)).stdout).toMatch(/error +RangeError: negative: -1\n/);

    expect(await umbel('dead', 'replay', one, '-i', '{"a":5}')).toMatchObject({
      code: 0,
      stdout: '1 job runs again\n',
    });
    expect(await sent[0]?.get(soon)).toEqual({ a: 6 });
    expect((await umbel('dead', 'replay', one)).code).toBe(1);
    expect((await umbel('dead', 'replay', 'nobody')).code).toBe(3);
    expect((await umbel('dead', 'replay')).code).toBe(2);
    expect((await umbel('dead', 'discard', two, '--all')).code).toBe(2);

    const dry = await json('dead', 'replay', '--all', '--task', 'add', '--dry-run');
    expect(dry).toMatchObject({ code: 0, kind: 'replayed', replayed: 2, isDryRun: true, skipped: [] });
    const asked = await umbel('dead', 'discard', '--all', '--task', 'add');
    expect(asked).toMatchObject({ code: 2, stdout: '' });
    expect(asked.stderr).toContain('Discard 2 failed jobs permanently?');
    expect(await json('dead', 'discard', two, 'nobody', '--yes')).toMatchObject({
      code: 1,
      kind: 'dropped',
      dropped: 1,
      skipped: [{ id: 'nobody' }],
    });
    // `drop` is the former name of `discard`.
    expect(await json('dead', 'drop', '--all', '--yes')).toMatchObject({ code: 0, dropped: 1 });
    expect(await json('dead', 'list')).toMatchObject({ letters: [] });
    expect(await sent.find(({ id }) => id === three)?.state()).toBe('unknown');
  });

  test('run a failed step again with another input, checked by its schema', async () => {
    const { app, add, total, run, umbel, write, name, startWorker } = await shop();
    write(
      'tasks.ts',
      `import { createApp } from '@umbel/core';
import { z } from 'zod';
export const app = createApp({ name: '${name}' });
app.task({ name: 'add', input: z.object({ a: z.number() }), run: ({ a }) => ({ a }) });
`,
    );
    await startWorker();
    const sent = await chain(group([-1, 2].map((a) => add.s({ a }))), total).delay();
    const { error } = (await sent.outcome(soon)) as { error: { jobId: string } };
    const step = error.jobId.slice(sent.id.length + 1);
    const resume = (...inputs: string[]) =>
      run(['runs', 'resume', sent.id, '-A', './tasks.ts', ...inputs.flatMap((input) => ['--input', input])]);

    const refused = await resume(`${step}={"a":"one"}`);
    expect(refused.stderr).toContain(`inputs['${step}'].a`);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    const unknown = await resume('no-step={"a":1}');
    expect(unknown).toMatchObject({ code: 2, stdout: '' });
    expect(unknown.stderr).toContain('no-step');
    for (const wrong of [['{"a":1}'], [`${step}=`], [`${step}={"a"`], [`${step}={"a":1}`, `${step}={"a":2}`]])
      expect(await resume(...wrong)).toMatchObject({ code: 2, stdout: '' });
    const nameless = await umbel('runs', 'resume', sent.id, '-i', `${step}={"a":1}`);
    expect(nameless).toMatchObject({ code: 2, stdout: '' });
    expect(nameless.stderr).toContain('defines task "add"');
    expect(await sent.state()).toBe('failed');

    expect(await resume(`${step}={"a":1}`)).toMatchObject({ code: 0 });
    expect(await sent.get(soon)).toBe(2);
    expect((await app.jobs.get(error.jobId))?.state).toBe('completed');
  });

  test('empty queues, once they may', async () => {
    const { app, add, total, umbel, json, startWorker } = await shop();
    await add.sendMany([{ a: 1 }, { a: 2 }]);
    await add.applyAsync({ a: 3 }, { countdown: '1h' });
    const run = await chain(group([1, 2].map((a) => add.s({ a }))), total).delay();
    const asked = await umbel('purge', 'default');
    expect(asked).toMatchObject({ code: 2, stdout: '' });
    expect(asked.stderr).toContain('default: 4 jobs\nerror: Remove 4 jobs permanently?');
    expect((await umbel('purge')).code).toBe(2);
    expect((await umbel('purge', 'nowhere', '--yes')).code).toBe(2);
    expect((await app.queue('default').counts()).waiting).toBe(4);
    expect(await json('purge', 'default', '--yes')).toMatchObject({
      code: 0,
      kind: 'purge',
      removed: 2,
      revokedRuns: 1,
      queues: [{ queue: 'default', removed: 2, revokedRuns: 1 }],
    });
    await startWorker();
    expect(await run.outcome(soon)).toMatchObject({ error: { state: 'revoked' } });
    expect((await umbel('purge', '--all', '--delayed', '-y')).stdout).toBe('1 job removed\n');
    expect(await umbel('runs', 'resume', run.id)).toMatchObject({ code: 0 });
    expect(await run.get(soon)).toBe(2);
    expect((await umbel('runs', 'resume', run.id)).code).toBe(1);
  });

  test('show the sleeps of a run, and end them', async () => {
    const { app, add, umbel, json, startWorker } = await shop();
    await startWorker();
    const run = await chain(add, sleep('3d'), add).delay({ a: 1 });
    await vi.waitFor(async () => expect(await app.result(`${run.id}.0-1`).state()).toBe('delayed'), within);
    const shown = await umbel('runs', 'show', run.id);
    expect(shown.stdout).toMatch(/waits +step 0-1: sleep 3d, until \d{4}-\S+Z \(in 2d23h\)/);
    expect(await json('runs', 'show', run.id)).toMatchObject({
      waits: [{ step: '0-1', label: 'sleep 3d', until: expect.stringMatching(/Z$/) }],
    });
    expect((await umbel('runs', 'tree', run.id)).stdout).toMatch(/sleep 3d +delayed +until \d{4}/);
    expect((await umbel('jobs', 'show', `${run.id}.0-1`)).stdout).toMatch(
      /waits +sleep 3d, until \d{4}-\S+Z/,
    );
    expect(await umbel('runs', 'wake', run.id, '0-0')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is neither a sleep nor a loop'),
    });
    expect(await umbel('runs', 'wake', run.id, '0-1')).toMatchObject({ code: 0, stdout: '1 wait ended.\n' });
    expect(await run.get(soon)).toEqual({ a: 3 });
    expect(await json('runs', 'wake', run.id)).toMatchObject({ kind: 'run-woken', waits: 0 });
    expect((await umbel('runs', 'wake', run.id)).stdout).toBe('Nothing waited.\n');
  });

  test('show the signals that a run waits for, and the turn of its loop', async () => {
    const { app, add, umbel, json, startWorker } = await shop();
    const approved = app.signal({ name: 'approved' });
    await startWorker();
    const wait = waitFor(approved, { key: { text: 'exp-17' }, timeout: '3d' });
    const run = await chain(add, wait, add.si({ a: 1 })).delay({ a: 1 });
    await vi.waitFor(async () => expect(await app.result(`${run.id}.0-1`).state()).toBe('delayed'), within);
    const words = /wait for approved, key exp-17, until \d{4}-\S+Z \(in 2d23h\)/;
    expect((await umbel('runs', 'show', run.id)).stdout).toMatch(words);
    expect(await json('runs', 'show', run.id)).toMatchObject({
      waits: [{ step: '0-1', label: 'wait for approved', signal: { name: 'approved', key: 'exp-17' } }],
    });
    expect((await umbel('runs', 'tree', run.id)).stdout).toMatch(
      /wait for approved +delayed +key exp-17 +until/,
    );
    expect((await umbel('jobs', 'show', `${run.id}.0-1`)).stdout).toMatch(words);
    await approved.send('exp-17');
    expect(await run.get(soon)).toEqual({ a: 2 });
    expect((await umbel('runs', 'show', run.id)).stdout).not.toContain('waits');
    const repeated = await loop(add, { until: { a: 99 } as never, max: 3, every: '1h' }).delay({ a: 1 });
    const turns = `${repeated.id}.0`;
    await vi.waitFor(async () => expect(await app.result(turns).state()).toBe('delayed'), within);
    expect((await umbel('jobs', 'show', turns)).stdout).toMatch(/waits +loop, turn 1 of 3, until \d{4}/);
    await repeated.revoke();
  });

  test('look after schedules', async () => {
    const { app, run, umbel, json, write, name, startWorker } = await shop();
    write(
      'schedules.ts',
      `import { createApp } from '@umbel/core';
export const app = createApp({ name: '${name}' });
const tick = app.task({ name: 'add', input: { '~standard': { version: 1, vendor: 'own', validate: (value: unknown) => ({ value: value as { a: number } }) } }, run: () => 1 });
app.schedule('nightly', { cron: '0 3 * * *', tz: 'UTC' }, tick.s({ a: 1 }));
`,
    );
    const code = (...args: string[]) => run([...args, '-A', './schedules.ts']);
    expect((await code('schedule', 'list')).stderr).toContain('umbel schedule sync');
    expect((await code('schedule', 'sync')).stdout).toBe('added: nightly\n');
    expect(await json('schedule', 'list')).toMatchObject({
      kind: 'schedules',
      schedules: [{ name: 'nightly', state: 'active', target: 'add' }],
    });
    const next = await umbel('schedule', 'next', 'nightly', '-n', '2');
    expect(next.stdout).toMatch(/^(\d{4}-\d\d-\d\dT03:00:00\.000Z {2}in .*\n){2}$/);
    expect((await umbel('schedule', 'pause', 'nightly')).stdout).toBe('schedule nightly is paused\n');
    expect(await app.schedules.list()).toMatchObject([{ state: 'paused' }]);
    await startWorker({ schedules: false });
    expect(await umbel('schedule', 'run', 'nightly', '--wait')).toMatchObject({
      code: 0,
      stdout: '{"a":2}\n',
    });
    expect(await json('schedule', 'resume', 'nightly')).toMatchObject({
      kind: 'schedule-resumed',
      name: 'nightly',
    });
    expect((await umbel('schedule', 'next', 'nobody')).code).toBe(3);
  });
});

test('a stream of events, or of snapshots, ends when it is told to, or nobody reads', {
  timeout: 300_000,
}, async () => {
  const { start, folder, name, add, startWorker } = await shop();
  await startWorker();
  const lines = start(['events', '--name', name, '--types', 'completed,failed']);
  const json = start(['events', '--name', name, '--json', '--from', 'start', '--tasks', 'add']);
  const top = start(['top', '--name', name, '--json', '--interval', '200ms']);
  await top.prints('"kind":"top"');
  await json.prints(''); // it has started by then: `top` was started later
  const program = `${process.execPath} ${fileURLToPath(new URL('../../dist/main.js', import.meta.url))}`;
  const piped = spawn('sh', ['-c', `${program} events --name ${name} --from start --json | head -n 1`], {
    cwd: folder,
    env: { PATH: process.env.PATH, UMBEL_URL: inject('redisUrl') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pipeEnded = once(piped, 'close');
  // Each is seen to follow: they are sent until all have told of one.
  await vi.waitFor(
    async () => {
      await (await add.delay({ a: 1 })).get(soon);
      await (await add.delay({ a: -1 })).outcome(soon);
      expect(lines.stdout()).toMatch(
        /\d\d:\d\d:\d\d\.\d{3} {2}failed +add {2}[0-9A-Za-z]{21} {2}default {2}negative: -1\n/,
      );
      expect(json.stdout()).toContain('"type":"completed"');
      expect(top.stdout()).toMatch(/"completed":(?!0[,}])/);
      expect(piped.exitCode).toBe(0);
    },
    { timeout: 40_000, interval: 200 },
  );
  await pipeEnded;
  for (const running of [lines, json, top]) running.child.kill('SIGINT');
  const [told, streamed, looks] = await Promise.all([lines.ended, json.ended, top.ended]);
  expect([told.code, streamed.code, looks.code]).toEqual([0, 0, 0]);
  for (const event of documents(streamed.stdout))
    expect(event).toMatchObject({
      version: 1,
      kind: 'event',
      type: expect.any(String),
      position: expect.any(String),
      task: 'add',
    });
  expect(documents(looks.stdout)[0]).toMatchObject({
    kind: 'top',
    workers: [{ name: 'w1' }],
    queues: [{ name: 'default', rates: { completed: expect.any(Number) } }, {}],
  });
});

test('what is stored cannot command a terminal', { timeout: 300_000 }, async () => {
  const { app, name, umbel, startWorker } = await shop();
  const evil = '\u001b]0;owned\u0007\u009b2J\u202e';
  const bad = app.task({
    name: 'bad',
    input: z.object({ text: z.string() }),
    run: async ({ text }, ctx) => {
      ctx.log.info(text);
      await ctx.progress({ text });
      throw new Error(text);
    },
  });
  await startWorker({ name: `w${evil}` });
  const sent = await bad.applyAsync(
    { text: evil },
    { displayName: `d${evil}`, headers: { h: evil }, tags: [`t${evil}`] },
  );
  await sent.outcome(soon);
  const bare = new Queue('default', { connection: { url: inject('redisUrl') }, prefix: `umbel:{${name}}` });
  await bare.pause();
  await bare.add(`name${evil}`, { text: evil }, { jobId: 'foreign' });
  await bare.add(`name${evil}`, { text: evil }, { jobId: 'later', delay: 1_000_000 });
  await bare.close();
  const commands = [
    'status',
    'inspect workers',
    'inspect stats',
    'inspect reserved',
    'inspect scheduled --json',
    'jobs list',
    `jobs show ${sent.id}`,
    `jobs show ${sent.id} --json`,
    'dead list',
    `dead show ${sent.id}`,
    'events --from start --limit 4',
    'events --from start --limit 4 --json',
    'top',
  ];
  for (const command of commands) {
    const { code, stdout, stderr } = await umbel(...command.split(' '));
    expect(stdout.length).toBeGreaterThan(0);
    expect([command, code, CONTROLS.exec(stdout + stderr)]).toEqual([command, 0, null]);
  }
});

test.each([
  [['inspect', 'nothing'], 2, 'umbel inspect has no subcommand "nothing".'],
  [['runs'], 2, 'umbel runs needs a subcommand.'],
  [['runs', 'show', 'nobody', '--name', 'x'], 3, 'There is no workflow run "nobody".'],
  [['runs', 'tree', 'nobody', '--name', 'x'], 3, 'There is no job "nobody".'],
  [['jobs', 'show', 'nobody', '--name', 'x'], 3, 'There is no job "nobody".'],
  [['jobs', 'list', '--state', 'odd', '--name', 'x'], 2, 'Expected one of waiting'],
  [['control', 'pause', 'nowhere', '--name', 'x'], 2, 'There is no queue "nowhere".'],
  [['control', 'concurrency', 'none', '--name', 'x'], 2, "'none' requires --total."],
  [['control', 'revoke', '--name', 'x'], 2, 'Revoking needs either ids or --tag.'],
  [['inspect', 'ping', '-w', 'nobody', '--name', 'x'], 3, 'There is no worker "nobody".'],
  [['events', '--types', 'odd', '--name', 'x'], 2, 'There is no event type "odd".'],
  [['schedule', 'sync', '--name', 'x'], 2, ''],
  [['inspect', 'queues', '--name', 'x', '-b', 'redis://127.0.0.1:1'], 69, 'The store does not answer.'],
])('%j exits with %i', async (args, code, why) => {
  const { umbel } = project();
  const ended = await umbel(args);
  expect(ended.stderr).toContain(why);
  expect(ended).toMatchObject({ code, stdout: '' });
});

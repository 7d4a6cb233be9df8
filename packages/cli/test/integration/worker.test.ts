import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { documents, project } from '../support/project.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

describe('umbel worker', { timeout: 300_000 }, () => {
  test('shows what it serves on stderr, and a line for each attempt on stdout', async () => {
    const { start, app, name } = project({ built: true });
    const worker = start(['worker', './tasks.ts', '-c', '3', '-n', 'mine']);
    await worker.prints(/ ready$/m);
    const tasks = app();
    expect(await (await tasks.send('add', { a: 1, b: 2 })).get({ timeout: '50s' })).toEqual({ sum: 3 });
    const bad = await tasks.send('add', { a: -1, b: 2 });
    await expect(bad.get({ timeout: '50s' })).rejects.toThrow('negative: -1');
    await worker.prints(/failed +add/);
    worker.child.kill('SIGTERM');
    const { code, stdout, stderr } = await worker.ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`app +${name}\n +store +redis://\\S+\n +worker +mine`));
    expect(stderr).toContain('default (3), slow (3)');
    expect(stderr).toMatch(/4 tasks\n +add +default\n +apart +default +isolated\n/);
    expect(stdout).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} {2}completed {2}add {2}[0-9A-Za-z]{21} {2}\d+ms {2}default$/m,
    );
    expect(stdout).toMatch(
      /failed {5}add {2}[0-9A-Za-z]{21} {2}\d+ms {2}default {2}RangeError: negative: -1$/m,
    );
    expect(stdout).toMatch(/info +umbel ".*": SIGTERM: worker mine takes no more jobs/);
    expect(stdout).toMatch(/closed after a signal; 1 attempt completed, 1 failed, 0 retried, in .*\n$/);
    expect(stdout).not.toContain('\u001b');
  });

  test('goes on when the reader of its log is gone, and says so once', async () => {
    const { start, app } = project({ built: true });
    const worker = start(['worker', './tasks.ts']);
    await worker.prints(/ ready$/m);
    worker.child.stdout?.destroy();
    const tasks = app();
    for (const a of [1, 2, 3]) {
      const sent = await tasks.send('add', { a, b: 2 });
      expect(await sent.get({ timeout: '50s' })).toEqual({ sum: a + 2 });
      expect(await sent.info()).toMatchObject({ attempts: 1 });
    }
    worker.child.kill('SIGTERM');
    const { code, stderr } = await worker.ended;
    expect(code).toBe(0);
    expect(stderr.match(/the log cannot be written any more \(write EPIPE\); tasks go on/g)).toHaveLength(1);
  });

  test('lets what runs end after SIGTERM, and gives it back after a second one', async () => {
    const { start, app } = project();
    const tasks = app({ queues: ['slow'] });
    const first = start(['worker', './tasks.ts', '-l', 'debug']);
    await first.prints(/ ready$/m);
    const short = await tasks.send('held', { ms: 700 }, { queue: 'slow' });
    await first.prints(/started +held/);
    first.child.kill('SIGTERM');
    expect((await first.ended).code).toBe(0);
    expect(await short.get({ timeout: '1s' })).toBe('done');

    const second = start(['worker', './tasks.ts', '-l', 'debug']);
    await second.prints(/ ready$/m);
    const long = await tasks.send('held', { ms: 60_000 }, { queue: 'slow' });
    await second.prints(/started +held/);
    second.child.kill('SIGTERM');
    await second.prints('takes no more jobs');
    second.child.kill('SIGTERM');
    const { code, stdout } = await second.ended;
    expect(code).toBe(143);
    expect(stdout).toContain('returned a running job to its queue');
    expect(await long.state()).not.toBe('failed');
  });

  test('writes a log as pino does, which tells how it begins and ends', async () => {
    const { start, app, name } = project({ built: true });
    const sent = await app().send('add', { a: -1, b: 2 });
    const worker = start(['worker', './tasks.ts', '--json', '--until-empty', '--health-port', '0']);
    const { code, stdout, stderr } = await worker.ended;
    expect(code).toBe(1);
    expect(stderr).toBe('');
    const lines = documents(stdout.replace(/^loaded\n/, ''));
    for (const line of lines)
      expect(line).toMatchObject({
        v: 1,
        level: expect.any(Number),
        time: expect.any(Number),
        msg: expect.any(String),
      });
    const of = (event: string) => lines.filter((line) => line.event === event);
    expect(of('ready')).toMatchObject([
      {
        app: name,
        queues: ['default', 'slow'],
        tasks: ['add', 'apart', 'double', 'held'],
        healthPort: expect.any(Number),
      },
    ]);
    expect(of('attempt')).toMatchObject([
      {
        level: 50,
        state: 'failed',
        task: 'add',
        id: sent.id,
        queue: 'default',
        attempt: 1,
        durationMs: expect.any(Number),
        err: { type: 'RangeError', message: 'negative: -1' },
      },
    ]);
    expect(of('end')).toMatchObject([{ reason: 'closed', counts: { completed: 0, failed: 1 } }]);
  });

  test('ends once its queues are empty, later steps and what is delayed included', async () => {
    const { umbel, app } = project();
    const tasks = app();
    const run = await umbel(['run', './tasks.ts#pipeline', '-i', '{"a":1,"b":2}']);
    const later = await tasks.send('add', { a: 1, b: 1 }, { countdown: '2s' });
    const { code, stdout } = await umbel(['worker', './tasks.ts', '--until-empty']);
    expect(code).toBe(0);
    expect(stdout).toContain('3 attempts completed, 0 failed');
    expect(await tasks.result(run.stdout.trim()).get({ timeout: '5s' })).toBe(6);
    expect(await later.get({ timeout: '5s' })).toEqual({ sum: 2 });
  });

  test('serves the queues that it is told, each with its own concurrency, and ends after so many jobs', async () => {
    const { start, app } = project();
    const tasks = app();
    const worker = start(['worker', './tasks.ts', '-q', 'slow=2..4,default', '-c', '7', '--max-jobs', '1']);
    await worker.prints(/ ready$/m);
    expect(worker.stderr()).toContain('slow (2..4), default (7)');
    await tasks.send('add', { a: 1, b: 1 });
    const { code, stdout } = await worker.ended;
    expect(code).toBe(0);
    expect(stdout).toContain('closed: reached --max-jobs; 1 attempt completed');
  });

  test('runs an isolated task of a module in TypeScript in a child process', async () => {
    const { start, app } = project({ built: true });
    const worker = start(['worker', './tasks.ts', '-q', 'default']);
    await worker.prints(/ ready$/m);
    const pid = await (await app().send('apart')).get({ timeout: '50s' });
    expect(pid).toEqual(expect.any(Number));
    expect(pid).not.toBe(worker.child.pid);
  });

  test('runs an app that another copy of the package has made', async () => {
    const { start, write, folder, name, app } = project();
    const modules = join(folder, 'lib/node_modules');
    mkdirSync(join(modules, '@umbel'), { recursive: true });
    for (const part of ['package.json', 'dist'])
      cpSync(join(root, 'packages/core', part), join(modules, '@umbel/core', part), { recursive: true });
    for (const each of ['bullmq', 'cron-parser', 'ioredis', 'ms', 'ts-pattern'])
      symlinkSync(join(root, 'node_modules', each), join(modules, each));
    write('lib/package.json', '{ "type": "module" }\n');
    write(
      'lib/tasks.ts',
      `import { createApp } from '@umbel/core';\nconsole.log(import.meta.resolve('@umbel/core'));\nexport const app = createApp({ name: '${name}' });\nexport const one = app.task({ name: 'one', run: (): number => 1 });\n`,
    );
    write('main.ts', "export * from './lib/tasks.js';\n");
    const worker = start(['worker', './main.ts', '--json', '--max-jobs', '1']);
    await worker.prints('"event":"ready"');
    expect(worker.stdout()).toMatch(/^file:.*\/lib\/node_modules\/@umbel\/core\/dist\/index\.js$/m);
    await app().send('one');
    const { code, stdout } = await worker.ended;
    expect(code).toBe(0);
    expect(stdout).toContain('"event":"attempt","state":"completed","task":"one"');
    expect(stdout).toContain('"event":"message"');
  });

  test('answers probes', async () => {
    const { start } = project();
    const probe = createServer().listen(0, '127.0.0.1');
    const port = await new Promise<number>((resolve) =>
      probe.once('listening', () => resolve((probe.address() as { port: number }).port)),
    );
    await new Promise((resolve) => probe.close(resolve));
    const worker = start(['worker', './tasks.ts', '--health-port', `${port}`, '--health-host', '127.0.0.1']);
    await worker.prints(`ready, probes at port ${port}`);
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
    expect({ status: answer.status, body: await answer.json() }).toMatchObject({
      status: 200,
      body: { ready: true },
    });
  });

  test.each([
    [['worker', './absent.ts'], 4, 'There is no such file'],
    [['worker', './broken.ts'], 4, /SyntaxError|Unexpected token/],
    [['worker', './throws.ts'], 4, /TypeError: no way\n {2}at .*throws\.ts:3/],
    [['worker', './checked.ts'], 4, 'There is no app in checked.ts'],
    [['worker', './two.ts'], 4, 'Expected one app, got the exports one, two.'],
    [['worker', './two.ts#three'], 4, 'It exports one, two.'],
    [['worker'], 2, 'No app is set.'],
    [['worker', './tasks.ts', '--shutdown-timeout', '5'], 2, "such as '500ms'"],
    [['worker', './tasks.ts', '-q', 'a=b'], 2, "bounds such as '5..50'"],
    [['worker', './tasks.ts', '--max-memory', 'much'], 2, 'maxMemory'],
    [['worker', './named.ts', '-b', 'redis://127.0.0.1:2'], 2, '--connection has no effect.'],
  ])('%j exits with %i and says why', async (args, code, why) => {
    const { umbel, write } = project();
    write('broken.ts', 'export const = 1;\n');
    write('throws.ts', 'interface Gone {\n  a: 1 }\nthrow new TypeError("no way");\n');
    write(
      'two.ts',
      "import { createApp } from '@umbel/core';\nexport const one = createApp({ name: 'one' });\nexport const two = createApp({ name: 'two' });\n",
    );
    write(
      'named.ts',
      "import { createApp } from '@umbel/core';\nexport const one = createApp({ name: 'one', connection: 'redis://127.0.0.1:1' });\n",
    );
    const ended = await umbel(args);
    expect(ended.stderr).toMatch(why);
    expect(ended.stderr).toMatch(/^error: .+\n {2}/);
    expect(ended).toMatchObject({ code });
  });
});

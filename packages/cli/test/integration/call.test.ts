import { describe, expect, test } from 'vitest';
import { documents, project } from '../support/project.js';

const INPUT = '{"a":1,"b":2}';

describe('umbel call', { timeout: 300_000 }, () => {
  test('sends, and prints the id alone on stdout', async () => {
    const { umbel, app, name } = project();
    const { code, stdout, stderr } = await umbel(['call', 'add', '-A', './tasks.mjs', '-i', INPUT]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'loaded\n' });
    expect(stdout).toMatch(/^[0-9A-Za-z]{21}\n$/);
    expect(await app().result(stdout.trim()).info()).toMatchObject({ task: 'add', queue: 'default' });

    const options = ['--countdown', '1h', '--tag', 'a', '--tag', 'b', '--header', 'tenant=acme'];
    const named = await umbel([
      'call',
      'any.task',
      '--name',
      name,
      '--json',
      '--queue',
      'default',
      ...options,
    ]);
    expect(named.stderr).toBe('');
    const [document] = documents(named.stdout);
    expect(document).toEqual({ version: 1, kind: 'call', id: expect.any(String), task: 'any.task' });
    const later = app().result(String(document?.id));
    expect(await later.state()).toBe('delayed');
    expect((await later.info()).headers).toEqual({ tenant: 'acme' });
  });

  test('waits, and prints what the task gives, or how it has failed', async () => {
    const { umbel, start, name, write } = project();
    const worker = start(['worker', './tasks.mjs']);
    await worker.prints(/ ready$/m);
    write('input.json', INPUT);
    const fromFile = await umbel(['call', 'add', '--name', name, '-i', '@input.json', '--wait']);
    expect(fromFile).toEqual({ code: 0, stdout: '{"sum":3}\n', stderr: '' });
    const piped = await umbel(['call', 'add', '--name', name, '-i', '-', '-w', '--json'], { input: INPUT });
    expect(documents(piped.stdout)).toEqual([
      { version: 1, kind: 'result', id: expect.any(String), state: 'completed', result: { sum: 3 } },
    ]);
    const failed = await umbel(['call', 'add', '--name', name, '-i', '{"a":-1,"b":2}', '-w']);
    expect(failed).toMatchObject({ code: 1, stdout: '' });
    expect(failed.stderr).toMatch(
      /^error: Task "add" failed\.\n {2}RangeError: negative: -1\n {2}.*--name cli-/,
    );
    const told = await umbel(['call', 'add', '--name', name, '-i', '{"a":-1,"b":2}', '-w', '--json']);
    expect(told).toMatchObject({ code: 1, stderr: '' });
    expect(documents(told.stdout)).toMatchObject([
      {
        kind: 'result',
        state: 'failed',
        error: { task: 'add', name: 'RangeError', message: 'negative: -1' },
      },
    ]);
    const slow = await umbel(['call', 'held', '--name', name, '--queue', 'slow', '-i', '{"ms":300}', '-w']);
    expect(slow).toEqual({ code: 0, stdout: '"done"\n', stderr: 'progress: {"percent":50}\n' });
  });

  test('gives up waiting after --timeout, and at Ctrl-C, and says that the job goes on', async () => {
    const { umbel, start, name } = project();
    const late = await umbel(['call', 'add', '--name', name, '-i', INPUT, '-w', '--timeout', '100ms']);
    expect(late).toMatchObject({ code: 75, stdout: '' });
    expect(late.stderr).toContain('has no result after 100 ms (state: waiting)');
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const waiting = start(['call', 'add', '--name', name, '-i', INPUT, '-w', '-v']);
      await waiting.prints('waiting for');
      waiting.child.kill(signal);
      const ended = await waiting.ended;
      expect(ended.code).toBe(code);
      expect(ended.stderr).toMatch(
        /stopped waiting for job "[0-9A-Za-z]{21}"\.\n {2}The job continues\.\n.*umbel result [0-9A-Za-z]{21} --wait --name cli-/,
      );
    }
  });

  test.each([
    [
      'an input that does not fit',
      ['-A', './tasks.mjs', '-i', '{"a":"1","b":2}'],
      2,
      'input.a: Invalid input: expected number, received string',
    ],
    [
      'a mistake in JSON',
      ['-A', './tasks.mjs', '-i', '{"a":1,\n  b:2}'],
      2,
      /line 2, column 3\)\.\n {2}Expected a key in double quotes, but got "b"\./,
    ],
    [
      'a file that is not there',
      ['-A', './tasks.mjs', '-i', '@gone.json'],
      2,
      'Input file "gone.json" cannot be read',
    ],
    [
      'a store that does not answer',
      ['--name', 'shop', '-b', 'redis://127.0.0.1:1'],
      69,
      'The store does not answer',
    ],
    [
      'a store of another kind',
      ['--name', 'shop', '-b', 'mysql://127.0.0.1'],
      2,
      'redis:// or rediss:// URL',
    ],
    ['code and no code', ['-A', './tasks.mjs', '--name', 'shop'], 2, '--app and --name exclude each other'],
    ['a moment without a zone', ['--name', 'shop', '--eta', '2030-01-01T08:00'], 2, 'a time with its zone'],
  ])('with %s says so', async (_, args, code, why) => {
    const { umbel } = project();
    const ended = await umbel(['call', 'add', ...args]);
    expect(ended.stderr).toMatch(why);
    expect(ended).toMatchObject({ code, stdout: '' });
  });

  test('of a task that the app does not have names what may be meant, as a document too', async () => {
    const { umbel } = project();
    const { code, stdout, stderr } = await umbel(['call', 'duoble', '-A', './tasks.mjs', '--json']);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(documents(stderr.replace('loaded\n', ''))).toMatchObject([
      { version: 1, kind: 'error', exitCode: 3, why: 'Did you mean double?' },
    ]);
  });

  test('refuses a store that ends with the process', async () => {
    const { umbel, write } = project();
    write(
      'memory.ts',
      "import { createApp } from '@umbel/core';\nimport { memory } from '@umbel/testing';\nexport const app = createApp({ name: 'm', connection: memory() });\nexport const add = app.task({ name: 'add', run: () => 1 });\n",
    );
    const ended = await umbel(['call', 'add', '-A', './memory.ts']);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('App "m" uses a store in this process.');
  });
});

/** An app under test in the runners of the table of docs/testing.md that this repository does not install. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RunnerProject, type RunnerResult } from '../support/runner-project.js';

const VERSIONS = ['vitest@5.1.2', 'bun@1.4.5', 'deno@2.9.6'];

const CLAIMS = `
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '@umbel/core';
import { testApp } from '@umbel/testing';
import { z } from 'zod';

const app = createApp({ name: 'shop', connection: 'redis://127.0.0.1:1' });
const charge = app.task({
  name: 'charge',
  input: z.object({ amount: z.number() }),
  retry: { attempts: 2, delay: '1h', jitter: false },
  run: async ({ amount }, ctx) => {
    if (ctx.attempt === 1) throw new Error('busy');
    return amount * 2;
  },
});
const sleeper = app.task({
  name: 'sleeper',
  timeout: '30s',
  run: async () => {
    await sleep(200);
    return 'done';
  },
});
const listener = app.task({
  name: 'listener',
  timeout: '30s',
  run: (_, ctx) => sleep(200, 'done', { signal: ctx.signal }),
});

const attempt = (promise) => promise.then(String, (error) => error.message);

/** What holds in every runner. */
export async function retriesInVirtualTime() {
  const t = await testApp(app);
  const first = await t.run(charge, { amount: 2 });
  const handle = await charge.applyAsync({ amount: 3 }, { countdown: '1d' });
  const [, later] = await Promise.all([t.advance('2d'), handle.get()]);
  await t.close();
  return [first, later].join();
}

/** A handler that waits for a timer of its own. */
export async function worksWithTimer() {
  const t = await testApp(app);
  const result = await t.run(sleeper);
  await t.close();
  return result;
}

/** A handler that waits for a timer of its own and listens to its signal. */
export async function worksWithSignal() {
  const t = await testApp(app);
  const result = await attempt(t.run(listener));
  await t.close();
  return result;
}
`;

const passed = ({ status, output }: RunnerResult) =>
  status === 0 ? 'passed' : `ended with ${status}:\n${output}`;

let project: RunnerProject;

beforeAll(() => {
  project = new RunnerProject();
  project.write('claims.mjs', CLAIMS);
  project.write('other/package.json', JSON.stringify({ private: true }));
  const npm = ['install', '--no-audit', '--no-fund', '--prefer-offline', ...VERSIONS];
  expect(passed(project.run('npm', 'other', npm))).toBe('passed');
}, 300_000);
afterAll(() => project.remove());

const bin = (name: string) => join(project.folder, 'other/node_modules/.bin', name);

/** Tests for a runner: `imports` has its \`test\` and \`equal\`; `fake` and `restore` are of its timers. */
const testsOf = (imports: string, fake: string, restore: string) => `
${imports}
import { retriesInVirtualTime, worksWithSignal, worksWithTimer } from '../claims.mjs';
test('real timers', async () => {
  equal(await retriesInVirtualTime(), '4,6');
  equal(await worksWithTimer(), 'done');
  equal(await worksWithSignal(), SIGNAL);
});
test('fake timers', async () => {
  ${fake}
  equal(await retriesInVirtualTime(), '4,6');
  ${restore}
});
`;

test('node:test, with its mock timers', () => {
  const imports = `import { equal } from 'node:assert/strict';
import { mock, test } from 'node:test';
const SIGNAL = 'done';`;
  project.write('other/node.test.mjs', testsOf(imports, 'mock.timers.enable();', 'mock.timers.reset();'));
  expect(passed(project.node('other', ['--test', 'node.test.mjs']))).toBe('passed');
});

test('Vitest 5, with its fake timers', () => {
  const imports = `import { expect, test, vi } from 'vitest';
const SIGNAL = 'done';
const equal = (a, b) => expect(a).toEqual(b);`;
  project.write('other/vitest.test.mjs', testsOf(imports, 'vi.useFakeTimers();', 'vi.useRealTimers();'));
  expect(passed(project.node('other', [bin('vitest'), 'run', 'vitest.test.mjs']))).toBe('passed');
});

test('Bun, whose handlers are timed out if they listen to their signal while they wait for a timer', () => {
  const imports = `import { expect, jest, test } from 'bun:test';
const SIGNAL = expect.stringContaining('did not end within its timeout of 30000 ms');
const equal = (a, b) => expect(a).toEqual(b);`;
  project.write('other/bun.test.mjs', testsOf(imports, 'jest.useFakeTimers();', 'jest.useRealTimers();'));
  expect(passed(project.run(bin('bun'), 'other', ['test', 'bun.test.mjs']))).toBe('passed');
});

test('Deno, whose sanitizers find no leak', () => {
  const imports = `import { equal } from 'node:assert/strict';
const SIGNAL = 'done';
const test = Deno.test;`;
  project.write('other/deno.test.mjs', testsOf(imports, '', ''));
  const args = ['test', '--allow-all', '--no-check', 'deno.test.mjs'];
  expect(passed(project.run(bin('deno'), 'other', args))).toBe('passed');
});

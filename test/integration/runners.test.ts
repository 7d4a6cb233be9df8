/** The set-ups for other test runners that docs/testing.md has, each run as it stands there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunnerProject, type RunnerResult } from '../support/runner-project.js';
import { root } from '../support/snippets.js';

const SHOP = `
const app = createApp({ name: 'shop', connection: 'redis://127.0.0.1:1' });
const charge = app.task({
  name: 'charge',
  input: z.object({ amount: z.number() }),
  retry: { attempts: 2, delay: '1h', jitter: false },
  run: async ({ amount }, ctx) => {
    if (ctx.attempt === 1) throw new Error('busy');
    return { receipt: \`r-\${amount}\` };
  },
});
const waiter = app.task({
  name: 'waiter',
  timeout: '30s',
  run: (_, ctx) => new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason))),
});
const worker = app.task({
  name: 'worker',
  timeout: '30s',
  run: (_, ctx) => sleep(200, 'done', { signal: ctx.signal }),
});
const guarded = app.task({
  name: 'guarded',
  timeout: '30s',
  run: (_, ctx) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 200, 'done');
    ctx.signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(ctx.signal.reason);
    });
  }),
});
const endless = app.task({ name: 'endless', run: () => new Promise(() => {}) });
`;
const NAMES = 'app, charge, waiter, worker, guarded, endless';
const MODULE = `
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '@umbel/core';
import { z } from 'zod';
${SHOP}
export { ${NAMES} };
`;
const COMMON = `
const { setTimeout: sleep } = require('node:timers/promises');
const { createApp } = require('@umbel/core');
const { z } = require('zod');
${SHOP}
module.exports = { ${NAMES} };
`;
const IMPORTS = `import { testApp } from '@umbel/testing';
import { ${NAMES} } from './shop.mjs';
`;
const REQUIRES = `const { testApp } = require('@umbel/testing');
const { ${NAMES} } = require('./shop.cjs');
`;

/** What else is claimed of an app under test, in the words of Jest. */
const CLAIMS = (fake: string) => `
test('a handler that waits for its signal is timed out, and one that works is not', async () => {
  const t = await testApp(app);
  await expect(t.run(waiter)).rejects.toThrow('did not end within its timeout of 30000 ms');
  expect(await t.run(worker)).toBe('done');
  expect(t.now).toEqual(new Date('2030-01-01T00:00:30Z'));
  await t.close();
});
test('a handler that works with timers of its own is waited for', async () => {
  jest.useRealTimers();
  const t = await testApp(app);
  expect(await t.run(guarded)).toBe('done');
  expect(t.now).toEqual(new Date('2030-01-01T00:00:00Z'));
  await t.close();
});
test('timers may be faked', async () => {
  ${fake};
  const t = await testApp(app);
  expect(await t.run(charge, { amount: 1 })).toEqual({ receipt: 'r-1' });
  const handle = await charge.applyAsync({ amount: 2 }, { countdown: '1d' });
  await Promise.all([t.advance('2d'), handle.get()]);
  await t.close();
});
`;

const JEST = join(root, 'node_modules/jest/bin/jest.js');

function passed({ status, output }: RunnerResult): number {
  const count = Number(
    /^Tests: +(\d+) passed, \1 total$|^# pass (\d+)$/m.exec(output)?.slice(1).find(Boolean),
  );
  if (status !== 0 || Number.isNaN(count)) throw new Error(`The run ended with ${status}:\n${output}`);
  return count;
}

describe('docs/testing.md: other test runners', () => {
  let project: RunnerProject;

  beforeAll(() => {
    project = new RunnerProject();
    const text = readFileSync(join(root, 'docs/testing.md'), 'utf8');
    const files = [...text.matchAll(/^```js file=(\S+)\n([\s\S]*?)^```$/gm)];
    expect(files).toHaveLength(5);
    for (const [, file = '', code = ''] of files) project.write(file, code);
    for (const folder of ['node', 'jest-esm', 'jest-cjs']) {
      project.write(`${folder}/shop.mjs`, MODULE);
      project.write(`${folder}/shop.cjs`, COMMON);
    }
  }, 300_000);
  afterAll(() => project.remove());

  test('node:test', () => {
    const code = readFileSync(join(project.folder, 'node/shop.test.mjs'), 'utf8').replaceAll(
      /^import (.*) from '(.*)';$/gm,
      (_, names: string, from: string) => {
        const taken = names.trim();
        return `const ${taken} = require('${from.replace('.mjs', '.cjs')}');`;
      },
    );
    project.write('node/shop.test.cjs', code);
    const args = ['--test', '--test-reporter=tap'];
    expect(passed(project.node('node', [...args, 'shop.test.mjs']))).toBe(1);
    expect(passed(project.node('node', [...args, 'shop.test.cjs']))).toBe(1);
  });

  test('Jest with modules', () => {
    project.write(
      'jest-esm/claims.test.mjs',
      `import { expect, jest, test } from '@jest/globals';\n${IMPORTS}${CLAIMS('jest.useFakeTimers()')}`,
    );
    const env = { NODE_OPTIONS: '--experimental-vm-modules' };
    expect(passed(project.node('jest-esm', [JEST], env))).toBe(4);
  });

  test('Jest with CommonJS', () => {
    project.write('jest-cjs/claims.test.js', REQUIRES + CLAIMS('jest.useFakeTimers()'));
    // As from a transformer for the code of the project, which turns `import` into `require`.
    project.write(
      'jest-cjs/imports.test.js',
      `jest.useFakeTimers();\n${IMPORTS.replace('.mjs', '.cjs')}${CLAIMS('')}`,
    );
    expect(passed(project.node('jest-cjs', [JEST]))).toBe(7);
  });

  test('an app that is not closed keeps no process alive', () => {
    const program = `${IMPORTS}
const t = await testApp(app);
console.log(JSON.stringify(await t.run(charge, { amount: 1 })));
`;
    project.write('node/open.mjs', program);
    expect(project.node('node', ['open.mjs'])).toEqual({ status: 0, output: '{"receipt":"r-1"}\n' });
    const tested = `import test from 'node:test';\n${IMPORTS}
test('open', async () => {
  const t = await testApp(app);
  await t.run(charge, { amount: 1 });
});
`;
    project.write('node/open.test.mjs', tested);
    expect(passed(project.node('node', ['--test', '--test-reporter=tap', 'open.test.mjs']))).toBe(1);
  });

  test('a handler that never ends is named before its process ends', () => {
    const tested = `import test from 'node:test';\n${IMPORTS}
test('endless', async () => {
  const t = await testApp(app);
  await t.run(endless);
});
`;
    project.write('node/endless.test.mjs', tested);
    const { status, output } = project.node('node', ['--test', '--test-reporter=tap', 'endless.test.mjs']);
    expect(status).toBe(1);
    expect(output).toContain('Task "endless" of app "shop" (attempt 1) has blocked virtual time for 3 s');
  });
});

/** The code of the guides compiles, and prints what they say. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as core from '@umbel/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf, filesOf, promisedLines, root, Snippets } from '../support/snippets.js';

describe.each([
  'docs/tasks.md',
  'docs/canvas.md',
  'docs/from-celery.md',
  'docs/security.md',
  'docs/operations.md',
])('%s', (page) => {
  const files = filesOf(page);
  const snippets = new Snippets(page, files);
  const programs = [...files].filter(([, code]) => promisedLines(code).length > 0);

  beforeAll(() => snippets.write());
  afterAll(() => snippets.remove());

  test('has no code that is not checked', () => {
    expect(blocksOf(page).filter(({ file }) => file === undefined)).toEqual([]);
  });

  test('compiles', () => {
    expect(snippets.compile()).toBe('');
  });

  test.each(programs)('prints what %s says', (name, code) => {
    const run = snippets.node(join('dist', name.replace(/ts$/, 'js')));
    expect(run.stderr).toBe('');
    expect(run.stdout.split('\n').slice(0, -1)).toEqual(promisedLines(code));
  });

  test('has every file run, by itself or by another', () => {
    const imported = [...files.values()].join('').matchAll(/from '\.\/(\w+)\.js'/g);
    const run = new Set([
      ...programs.map(([name]) => name),
      ...[...imported].map(([, name]) => `${name}.ts`),
    ]);
    expect([...files.keys()].filter((name) => !run.has(name))).toEqual([]);
  });
});

test.each(['SECURITY.md', 'docs/security.md', 'docs/operations.md'])(
  '%s links to files that there are',
  (page) => {
    const links = [...readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#]+)/g)].map(
      ([, to = '']) => to,
    );
    expect(links.length).toBeGreaterThan(0);
    expect(links.filter((to) => !existsSync(join(root, page, '..', to)))).toEqual([]);
  },
);

test('docs/tasks.md tells of every class of error', () => {
  const text = readFileSync(join(root, 'docs/tasks.md'), 'utf8');
  const classes = Object.keys(core).filter((name) => /^[A-Z].*Error$/.test(name) && name !== 'UmbelError');
  expect(classes.length).toBeGreaterThan(20);
  expect(classes.filter((name) => !text.includes(`| \`${name}\``))).toEqual([]);
});

/** What the fragments of docs/testing.md take for granted. */
const GIVEN = `
import { chain } from '@umbel/canvas';
import { createApp, type Signature } from '@umbel/core';
import { sequence } from '@umbel/testing';
import { testApp } from '@umbel/testing/vitest';
import { expect } from 'vitest';
import { z } from 'zod';

const app = createApp({ name: 'shop' });
const charge = app.task({
  name: 'charge',
  input: z.object({ amount: z.number() }),
  run: async ({ amount }) => ({ receipt: \`r-\${amount}\` }),
});
const mail = app.task({
  name: 'mail',
  input: z.object({ to: z.string(), receipt: z.string() }),
  run: async () => 'sent',
});
declare const order: object;
declare function buildWorkflow(of: object): Signature<string, { amount: number }, string>;
const t = await testApp(app);
`;

describe('docs/testing.md', () => {
  const page = 'docs/testing.md';
  const isWhole = (code: string) => code.startsWith('import');
  const files = blocksOf(page).flatMap(({ code }, block) => {
    const isChoice = code.match(/import \{ testApp \}/g)?.length === 2; // one or the other, not both
    const parts = isChoice ? code.trim().split('\n') : [isWhole(code) ? code : GIVEN + code];
    return parts.map((part, index): [string, string] => [`block-${block}-${index}.ts`, part]);
  });
  const snippets = new Snippets(page, new Map(files));

  beforeAll(() => snippets.write());
  afterAll(() => snippets.remove());

  test('compiles', () => {
    expect(files.length).toBeGreaterThan(4);
    expect(snippets.compile()).toBe('');
  });
});

/** The code of the guides compiles, and prints what they say. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as core from '@umbel/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testPages } from '../support/page-tests.js';
import { blocksOf, root, Snippets } from '../support/snippets.js';

testPages([
  'docs/tasks.md',
  'docs/schemas.md',
  'docs/canvas.md',
  'docs/signals.md',
  'docs/from-celery.md',
  'docs/security.md',
  'docs/operations.md',
]);

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

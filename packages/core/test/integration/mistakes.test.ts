/** What the mistakes of newcomers say is a part of the product: docs/mistakes.md has the very words. */
import { readFileSync } from 'node:fs';
import type { App } from '@umbel/core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Stores, startStores } from '../support/mistaken-stores.js';
import { MISTAKES, mistakenApp } from '../support/mistakes.js';

const PAGE = new URL('../../../../docs/mistakes.md', import.meta.url);
const COMPILER = new URL('../../../canvas/test/types/mistakes/messages.txt', import.meta.url);
const THE_COMPILER = 'Compiler errors';

/** The page: by the headings of its parts, the mistakes with their words. */
function pageParts(): Map<string, Map<string, string>> {
  const text = readFileSync(PAGE, 'utf8');
  const parts = text.split(/^## /m).slice(1);
  return new Map(
    parts.map((part) => {
      const [heading = ''] = part.split('\n', 1);
      const found = [...part.matchAll(/^### (.+)\n(?:(?!### ).*\n)*?```text\n([\s\S]*?)^```$/gm)];
      return [heading, new Map(found.map(([, title = '', words = '']) => [title, unwrapped(words)]))];
    }),
  );
}

/** Lines are broken where that reads well. */
function unwrapped(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** Without what differs from run to run. */
function steady(text: string): string {
  return unwrapped(text)
    .replaceAll(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/g, '<id>')
    .replaceAll(/(?<=\bjob )[0-9A-Za-z]{21}(?:\.[\w.-]+)?/gi, '<id>')
    .replaceAll(/job key-[\w-]+/g, 'job <id>')
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:6379')
    .replaceAll(/ imported from \S+/g, '');
}

const page = pageParts();

describe.each(Object.entries(MISTAKES))('%s', (heading, mistakes) => {
  const apps: App[] = [];
  let stores: Stores;

  beforeAll(async () => {
    stores = await startStores(inject('redisUrl'));
  });
  afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));
  afterAll(() => stores.stop());

  test('are those of the page', () => {
    expect([...(page.get(heading)?.keys() ?? [])]).toEqual(Object.keys(mistakes));
  });

  test.each(Object.entries(mistakes))('%s', async (title, commit) => {
    const log: string[] = [];
    const app = (options = {}) => {
      const made = mistakenApp(options, log);
      apps.push(made);
      return made;
    };
    let said: unknown;
    try {
      said = await commit({ stores, log, app });
    } catch (error) {
      said = String(error);
    }
    expect(page.get(heading)?.get(title)).toBe(steady(String(said)));
  });
});

test('what the page has of the compiler is what it says', () => {
  const said = unwrapped(readFileSync(COMPILER, 'utf8').replaceAll(/^mistakes\.ts\(.*?\): /gm, ''));
  const shown = [...(page.get(THE_COMPILER) ?? [])];
  expect(shown.length).toBeGreaterThan(10);
  for (const [title, words] of shown)
    expect({ title, said }).toEqual({ title, said: expect.stringContaining(words) });
});

test('the page has no other parts', () => {
  expect([...page.keys()]).toEqual([...Object.keys(MISTAKES), THE_COMPILER, 'Mistakes without a message']);
});

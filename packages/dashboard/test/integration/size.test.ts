/** How much a browser loads, as docs/dashboard.md says. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

const folder = fileURLToPath(new URL('../../dist/page/', import.meta.url));
const MAX_BYTES = 40 * 1024;

test('the first load and the graph are small', () => {
  const html = readFileSync(`${folder}index.html`, 'utf8');
  const size = (name: string) => gzipSync(readFileSync(`${folder}assets/${name}`)).length;
  const files = readdirSync(`${folder}assets`);
  const first = files.filter((name) => html.includes(`assets/${name}`));
  const later = files.filter((name) => !first.includes(name));
  const sum = (names: readonly string[]) => names.reduce((total, name) => total + size(name), 0);
  expect(first.some((name) => name.endsWith('.js'))).toBe(true);
  expect(first.some((name) => name.endsWith('.css'))).toBe(true);
  const part = (name: string) => later.filter((file) => file.startsWith(`${name}-`));
  expect(part('graph')).toEqual([expect.stringMatching(/\.js$/)]);
  expect(
    part('chart')
      .map((file) => file.replace(/.*\./, ''))
      .sort(),
  ).toEqual(['css', 'js']);
  expect(part('layout-worker')).toEqual([expect.stringMatching(/\.js$/)]);
  expect(later).toHaveLength(4);
  expect(sum(first)).toBeLessThan(MAX_BYTES);
  for (const parts of [[...part('graph'), ...part('layout-worker')], part('chart')])
    expect(sum(parts)).toBeLessThan(MAX_BYTES);
  // Nothing that the policy of the page would refuse.
  expect(html).not.toMatch(/<script(?![^>]* src=)|style=|https?:/);
});

/** Each rule of compositions is proved by a test whose name begins with its number. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const RULES = 35;

test('each rule has a test', () => {
  const folder = new URL('../integration/rules/', import.meta.url);
  const texts = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'));
  const named = texts.flatMap((text) =>
    [...text.matchAll(/\(\s*'(\d+)\. /g)].map(([, number]) => Number(number)),
  );
  const missing = Array.from({ length: RULES }, (_, index) => index + 1).filter(
    (rule) => !named.includes(rule),
  );
  expect(missing).toEqual([]);
});

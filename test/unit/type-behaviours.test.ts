/** The behaviours that the types promise have numbers; each is in a test of types under that number. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../packages/', import.meta.url));
const COUNT = 69;

test('each of the behaviours V01 to V69 has a test', () => {
  const files = ['core', 'canvas']
    .map((name) => join(root, name, 'test/types'))
    .flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)))
    .filter((file) => file.endsWith('.test-d.ts'));
  const numbers = files
    .flatMap((file) => readFileSync(file, 'utf8').match(/^ *\/\/ V\d\d(, V\d\d)*$/gm) ?? [])
    .flatMap((comment) => comment.match(/V\d\d/g) ?? []);
  const all = Array.from({ length: COUNT }, (_, index) => `V${String(index + 1).padStart(2, '0')}`);
  expect(all.filter((number) => !numbers.includes(number))).toEqual([]);
  expect(numbers.filter((number) => !all.includes(number))).toEqual([]);
});

import { InvalidOptionError } from '@umbel/core';
import { expect, test } from 'vitest';
import { bytesOf, inMegabytes, type MemorySize } from '../../../src/worker/options.js';

test.each<[MemorySize, number]>([
  [1000, 1000],
  ['64KB', 65_536],
  ['512MB', 536_870_912],
  ['1.5 GB', 1_610_612_736],
])('%s is %i bytes', (size, bytes) => {
  expect(bytesOf('maxMemory', size)).toBe(bytes);
});

test.each([0, -1, Number.NaN, '0MB', '512', '512mb', '1TB', 'much', null, {}])('%j is refused', (size) => {
  const read = () => bytesOf('maxMemory', size as MemorySize);
  expect(read).toThrow(InvalidOptionError);
  expect(read).toThrow("`maxMemory` to be bytes, or text such as '512MB' or '1.5GB'");
});

test('bytes are told in megabytes', () => {
  expect(inMegabytes(536_870_912)).toBe('512 MB');
});

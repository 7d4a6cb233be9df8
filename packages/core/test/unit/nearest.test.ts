import { expect, test } from 'vitest';
import { nearest } from '../../src/base/text.js';

test.each([
  ['timout', 'timeout'], // one is missing
  ['queuee', 'queue'], // one too many
  ['mials', 'mails'], // two have changed places
  ['Email', 'email'],
  ['xyz', undefined],
  ['que', undefined], // two of a short one
])('%s is taken for %s', (name, meant) => {
  expect(nearest(name, ['timeout', 'queue', 'mails', 'email'])).toBe(meant);
});

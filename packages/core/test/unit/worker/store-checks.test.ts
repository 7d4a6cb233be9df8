import { StoreConfigurationError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { checkStore } from '../../../src/store/engine/drivers.js';
import type { ServerFacts } from '../../../src/store/engine/engine.js';

const fit: ServerFacts = {
  kind: 'redis',
  version: '7.0.15',
  isCluster: false,
  hasAppendOnlyFile: true,
  evictionPolicy: 'noeviction',
  clock: { offsetMs: 0, errorMs: 0 },
};
const check = (facts: Partial<ServerFacts>, prefix = 'umbel:{shop}', allowsEviction = false) =>
  checkStore({ ...fit, ...facts }, { prefix, allowsEviction });

describe('a store', () => {
  test('that is fit gives no warning', () => {
    expect(check({})).toEqual([]);
    expect(check({ version: undefined, evictionPolicy: undefined, hasAppendOnlyFile: undefined })).toEqual(
      [],
    );
  });

  test.each(['4.0.14', '2.8.0', '3.2'])('of version %s is refused', (version) => {
    expect(() => check({ version })).toThrow(StoreConfigurationError);
    expect(() => check({ version })).toThrow(
      `The store is Redis ${version}, which is too old: expected 5.0.0 or newer`,
    );
  });

  test.each(['5.0.0', '6.0.16', '6.1'])('of version %s is warned of', (version) => {
    expect(check({ version })).toEqual([`the store is Redis ${version}; 6.2.0 or newer is recommended`]);
  });

  test.each(['6.2.0', '6.2.1', '7.0', '10.1.0'])('of version %s is fine', (version) => {
    expect(check({ version })).toEqual([]);
  });

  test('that is a cluster needs a prefix with braces', () => {
    expect(check({ isCluster: true })).toEqual([]);
    expect(() => check({ isCluster: true }, 'shop')).toThrow(StoreConfigurationError);
    expect(() => check({ isCluster: true }, 'shop')).toThrow("createApp({ prefix: '{shop}' })");
    expect(() => check({ isCluster: true }, 'shop{}')).toThrow(StoreConfigurationError);
  });

  test('that evicts keys is refused, unless that is allowed', () => {
    expect(() => check({ evictionPolicy: 'allkeys-lru' })).toThrow('maxmemory-policy allkeys-lru');
    expect(check({ evictionPolicy: 'allkeys-lru' }, 'umbel:{shop}', true)).toEqual([]);
  });

  test('without an append-only file is warned of', () => {
    expect(check({ hasAppendOnlyFile: false })).toEqual([expect.stringContaining('`appendonly yes`')]);
  });
});

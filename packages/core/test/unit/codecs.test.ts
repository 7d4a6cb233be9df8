import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { type Codec, compression, encryption } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { maxDecodedBytes, Sealer } from '../../src/codec/codecs.js';

const context = { subject: 'input', id: 'job-1', task: 'mail' } as const;
const value = { to: 'Ada', n: [1, null, 'ü'] };

describe('encryption', () => {
  const keys = { a: randomBytes(32), b: randomBytes(32).toString('base64') };
  const sealer = new Sealer([encryption({ keys, current: 'a' })]);

  test('gives back what it took, and never the same text twice', async () => {
    const [one, two] = [await sealer.encode(value, context), await sealer.encode(value, context)];
    expect(JSON.stringify(one)).not.toContain('Ada');
    expect(one).not.toEqual(two);
    expect(await sealer.decode(one, context)).toEqual(value);
    expect(await sealer.decode(JSON.parse(JSON.stringify(two)), context)).toEqual(value);
  });

  test('refuses a value of another job, another task or another kind', async () => {
    const sealed = await sealer.encode(value, context);
    for (const other of [{ id: 'job-2' }, { task: 'call' }, { subject: 'result' as const }]) {
      await expect(sealer.decode(sealed, { ...context, ...other })).rejects.toThrow('cannot decode its');
    }
  });

  test('refuses a value that was changed or cut', async () => {
    const sealed = (await sealer.encode(value, context)) as { 'umbel:sealed': string };
    const [name, text = ''] = sealed['umbel:sealed'].split(':');
    const bytes = Buffer.from(text, 'base64');
    for (const at of [0, 1, 5, 20, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const forged = { 'umbel:sealed': `${name}:${changed.toString('base64')}` };
      await expect(sealer.decode(forged, context)).rejects.toThrow('cannot decode its input');
    }
    const cut = { 'umbel:sealed': `${name}:${bytes.subarray(0, 10).toString('base64')}` };
    await expect(sealer.decode(cut, context)).rejects.toThrow('cannot decode its input');
  });

  test('reads values of older keys, and names a key that is missing', async () => {
    const sealed = await sealer.encode(value, context);
    const rotated = new Sealer([encryption({ keys, current: 'b' })]);
    expect(await rotated.decode(sealed, context)).toEqual(value);
    const without = new Sealer([encryption({ keys: { b: keys.b }, current: 'b' })]);
    await expect(without.decode(sealed, context)).rejects.toThrow('there is no key "a"');
  });

  test('refuses keys that are none', () => {
    expect(() => encryption({ keys: { a: randomBytes(16) }, current: 'a' })).toThrow('keys.a');
    expect(() => encryption({ keys, current: 'c' })).toThrow(
      'Expected `current` to be the id of one of `keys`',
    );
  });
});

describe('codecs', () => {
  test('are applied in order and undone in the other; one may leave a value alone', async () => {
    const seen: string[] = [];
    const tag = (name: string): Codec => ({
      name,
      encode: (data) => {
        seen.push(name);
        return Buffer.concat([Buffer.from(name), data]);
      },
      decode: (data) => {
        seen.push(`-${name}`);
        return data.subarray(name.length);
      },
    });
    const sealer = new Sealer([tag('a'), compression(), tag('b')]);
    const sealed = await sealer.encode(value, context);
    expect(sealed).toEqual({ 'umbel:sealed': expect.stringMatching(/^a\+b:/) });
    expect(await sealer.decode(sealed, context)).toEqual(value);
    expect(seen).toEqual(['a', 'b', '-b', '-a']);
  });

  test('leave what was not sealed as it is', async () => {
    const sealer = new Sealer([compression({ minBytes: 1 })]);
    expect(await sealer.decode(value, context)).toBe(value);
    expect(await sealer.encode(undefined, context)).toBeUndefined();
    const none = new Sealer([]);
    expect(await none.encode(value, context)).toBe(value);
    await expect(none.decode(await sealer.encode(value, context), context)).rejects.toThrow(
      'the codec "gzip"',
    );
  });

  test('do not unfold a small text beyond the limit', async () => {
    const sealer = new Sealer([compression()], 1_000_000);
    const small = await sealer.encode('x'.repeat(999_000), context);
    expect(await sealer.decode(small, context)).toHaveLength(999_000);
    const larger = await new Sealer([compression()]).encode('x'.repeat(1_000_001), context);
    expect(JSON.stringify(larger).length).toBeLessThan(5000);
    await expect(sealer.decode(larger, context)).rejects.toThrow('the codec "gzip" cannot decode its input');
    // A codec that does not look at the limit.
    const plain: Codec = { name: 'plain', encode: (data) => data, decode: (data) => data };
    const long = await new Sealer([plain]).encode('x'.repeat(1_000_001), context);
    await expect(new Sealer([plain], 1_000_000).decode(long, context)).rejects.toThrow(
      'the limit is 1000000',
    );
  });

  test('do not unfold 100 MiB by default, whatever a text claims', async () => {
    const megabytes = gzipSync(Buffer.alloc(100 * 1_048_576, 'x'));
    expect(megabytes.length).toBeLessThan(200_000);
    const planted = { 'umbel:sealed': `gzip:${megabytes.toString('base64')}` };
    await expect(new Sealer([compression()]).decode(planted, context)).rejects.toThrow(
      'cannot decode its input',
    );
  });

  test('refuse a value at once that could not be decoded', async () => {
    const sealer = new Sealer([compression()], 1000);
    await expect(sealer.encode('x'.repeat(1000), context)).rejects.toThrow(
      'The input of job job-1 takes 1002 bytes',
    );
  });

  test('may decode more in an app whose limits are higher', () => {
    expect(maxDecodedBytes(1, 1)).toBe(64 * 1_048_576);
    expect(maxDecodedBytes(100 * 1_048_576, 1)).toBe(200 * 1_048_576);
    expect(maxDecodedBytes(1, 100 * 1_048_576)).toBe(200 * 1_048_576);
  });
});

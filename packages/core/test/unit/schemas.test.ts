import { createApp, defineTask, InvalidOptionError } from '@umbel/core';
import { Schema } from 'effect';
import Type from 'typebox';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { withDefaults } from '../../src/codec/defaults.js';
import { storedInput } from '../../src/workflow/input.js';

const MAX_BYTES = 1000;

describe('a definition', () => {
  const standard = { version: 1, vendor: 'x', validate: () => ({ value: 1 }) };
  test.each([
    ['a schema of effect', Schema.String, /write Schema.toStandardSchemaV1\(schema\)/],
    [
      'a schema of effect that only describes',
      Schema.toStandardJSONSchemaV1(Schema.String),
      /not only a JSON Schema/,
    ],
    ['a schema of TypeBox', Type.Object({}), /TypeBox needs an adapter, see docs\/schemas.md/],
    [
      'a JSON Schema',
      { type: 'object', properties: {} },
      /does not validate by itself, see docs\/schemas.md/,
    ],
    ['a schema of an old zod', { _def: {}, safeParse() {} }, /zod has it from version 3.24/],
    ['a schema of an old yup', { __isYupSchema__: true }, /yup has it from version 1.7/],
    ['a schema of an old Joi', { $_root: {} }, /joi has it from version 18/],
    ['a function', String, /\(zod, valibot, arktype …\), got a function/],
    ['null', null, /got null/],
    ['a later version', { '~standard': { ...standard, version: 2 } }, /version 1/],
    ['no function', { '~standard': { ...standard, validate: 'x' } }, /with a function `validate`/],
  ])('refuses %s with words', (_, schema, message) => {
    for (const option of ['input', 'output', 'progress'])
      expect(() => defineTask({ name: 'task', [option]: schema as never })).toThrow(message);
    expect(() => defineTask({ name: 'task', failures: { gone: schema as never } })).toThrow(
      /`failures.gone`/,
    );
    const app = createApp({ name: 'app' });
    expect(() => app.signal({ name: 'signal', payload: schema as never })).toThrow(InvalidOptionError);
  });
});

describe('defaults', () => {
  const complete = (schema: z.ZodType, input: unknown, maxBytes = MAX_BYTES) =>
    withDefaults(schema, input, schema.parse(input), maxBytes);

  test('are added at every depth, also to the items of a list', () => {
    const item = z.object({ n: z.number().default(1) });
    const schema = z.object({ list: z.array(item), o: z.object({ item }), whole: item.default({ n: 2 }) });
    expect(complete(schema, { list: [{}, { n: 3 }], o: { item: {} } })).toEqual({
      list: [{ n: 1 }, { n: 3 }],
      o: { item: { n: 1 } },
      whole: { n: 2 },
    });
    expect(complete(item.default({ n: 4 }), undefined)).toEqual({ n: 4 });
  });

  test('change nothing of an input that has them all, not even its identity', () => {
    const schema = z.object({ n: z.number().default(1), text: z.string().transform((text) => text.length) });
    const input = { n: 2, text: 'abc', other: 1 };
    expect(complete(schema, input)).toBe(input);
  });

  test('that the schema would not take back are left out, the others are added', () => {
    const schema = z.object({
      id: z.string().default('x'),
      length: z
        .string()
        .default('abc')
        .transform((text) => text.length),
      longer: z
        .string()
        .default('a')
        .transform((text) => `${text}!`),
      at: z
        .string()
        .default('2030-01-01')
        .transform((text) => new Date(text)),
    });
    expect(complete(schema, {})).toEqual({ id: 'x' });
  });

  test('that no JSON carries, or that make the input too long, are left out', () => {
    expect(complete(z.object({ at: z.date().default(new Date()) }), {})).toEqual({});
    expect(complete(z.object({ text: z.string().default('x'.repeat(2000)) }), {})).toEqual({});
  });

  test('of an asynchronous schema are added later', async () => {
    const schema = z.object({
      n: z
        .number()
        .default(1)
        .refine(async () => true),
    });
    const completed = withDefaults(schema, {}, await schema.parseAsync({}), MAX_BYTES);
    expect(completed).toBeInstanceOf(Promise);
    expect(await completed).toEqual({ n: 1 });
  });

  test('cost no validation without a default', () => {
    const validate = vi.fn((value: unknown) => ({ value }));
    const schema = { '~standard': { version: 1, vendor: 'x', validate } } as const;
    withDefaults(schema, { a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }, MAX_BYTES);
    expect(validate).not.toHaveBeenCalled();
  });

  test('of a step are stored as bound keys, over those that it has', () => {
    const whole = { fed: 1, bound: 2 };
    const completed = { fed: 1, bound: 2, id: 'x' };
    const after = {};
    expect(storedInput({ input: { bound: 2 }, after }, whole, completed)).toEqual({ bound: 2, id: 'x' });
    expect(storedInput({ after }, { fed: 1 }, { fed: 1, id: 'x' })).toEqual({ id: 'x' });
    expect(storedInput({ input: { a: 1 } }, { a: 1 }, { a: 1, id: 'x' })).toEqual({ a: 1, id: 'x' });
    expect(storedInput({ input: 1, after: { ignored: true } }, 1, 2)).toBe(2);
  });
});

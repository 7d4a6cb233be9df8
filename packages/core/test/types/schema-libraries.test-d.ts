/** `app.task({ input })` infers what is sent and what the handler receives, from each schema library, without type arguments. */

import { createApp, type InputOf } from '@umbel/core';
import { type as ark } from 'arktype';
import { Effect, Schema } from 'effect';
import Joi from 'joi';
import Type from 'typebox';
import * as v from 'valibot';
import { expectTypeOf, test } from 'vitest';
import * as yup from 'yup';
import { z } from 'zod';
import * as zm from 'zod/mini';
import { standard } from '../../../../test/support/schema-libraries/typebox-adapter.js';

const app = createApp({ name: 'types' });

test('zod', () => {
  const task = app.task({
    name: 'zod',
    input: z.object({
      at: z.iso.datetime().transform((text) => new Date(text)),
      size: z.number().default(1),
      note: z.string().optional(),
    }),
    run: async ({ at, size, note }) => {
      expectTypeOf(at).toEqualTypeOf<Date>();
      expectTypeOf(size).toEqualTypeOf<number>();
      expectTypeOf(note).toEqualTypeOf<string | undefined>();
    },
  });
  expectTypeOf<InputOf<typeof task>>().toEqualTypeOf<{
    at: string;
    size?: number | undefined;
    note?: string | undefined;
  }>();
});

test('zod/mini, also with its JSON Schema', () => {
  const input = zm.object({
    at: zm.pipe(
      zm.string(),
      zm.transform((text: string) => new Date(text)),
    ),
    size: zm._default(zm.number(), 1),
  });
  const task = app.task({
    name: 'mini',
    input,
    run: async ({ at, size }) => {
      expectTypeOf(at).toEqualTypeOf<Date>();
      expectTypeOf(size).toEqualTypeOf<number>();
    },
  });
  expectTypeOf<InputOf<typeof task>>().toEqualTypeOf<{ at: string; size?: number | undefined }>();
  const described = app.task({
    name: 'described',
    input: zm.toJSONSchema(input, { io: 'input' }),
    run: async ({ at }) => {
      expectTypeOf(at).toEqualTypeOf<Date>();
    },
  });
  expectTypeOf<InputOf<typeof described>>().toEqualTypeOf<InputOf<typeof task>>();
});

test('valibot', () => {
  const task = app.task({
    name: 'valibot',
    input: v.object({
      at: v.pipe(
        v.string(),
        v.transform((text) => new Date(text)),
      ),
      size: v.optional(v.number(), 1),
    }),
    run: async ({ at, size }) => {
      expectTypeOf(at).toEqualTypeOf<Date>();
      expectTypeOf(size).toEqualTypeOf<number>();
    },
  });
  expectTypeOf<InputOf<typeof task>>().toEqualTypeOf<{ at: string; size?: number | undefined }>();
});

test('arktype', () => {
  const task = app.task({
    name: 'arktype',
    input: ark({ at: 'string.date.iso.parse', size: 'number = 1' }),
    run: async ({ at, size }) => {
      expectTypeOf(at).toEqualTypeOf<Date>();
      expectTypeOf(size).toEqualTypeOf<number>();
    },
  });
  expectTypeOf<InputOf<typeof task>>().toEqualTypeOf<{ at: string; size?: number }>();
});

test('effect', () => {
  const schema = Schema.Struct({
    at: Schema.DateFromString,
    size: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
  });
  const task = app.task({
    name: 'effect',
    input: Schema.toStandardSchemaV1(schema),
    run: async ({ at, size }) => {
      expectTypeOf(at).toEqualTypeOf<Date>();
      expectTypeOf(size).toEqualTypeOf<number>();
    },
  });
  expectTypeOf<InputOf<typeof task>>().toEqualTypeOf<{ readonly at: string; readonly size?: number }>();
  // @ts-expect-error a schema of effect is no Standard Schema by itself
  app.task({ name: 'bare', input: schema, run: async () => 1 });
});

test('TypeBox, with the adapter', () => {
  const schema = Type.Object({
    at: Type.Codec(Type.String())
      .Decode((text) => new Date(text))
      .Encode((at) => at.toISOString()),
    size: Type.Optional(Type.Number({ default: 1 })),
  });
  const task = app.task({
    name: 'typebox',
    input: standard(schema),
    run: async ({ at, size }) => {
      expectTypeOf(at).toEqualTypeOf<Date>();
      expectTypeOf(size).toEqualTypeOf<number | undefined>();
    },
  });
  expectTypeOf<InputOf<typeof task>>().toEqualTypeOf<{ at: string; size?: number }>();
  // @ts-expect-error a schema of TypeBox is no Standard Schema by itself
  app.task({ name: 'bare', input: schema, run: async () => 1 });
});

test('Joi infers nothing: the handler receives the type that is stated, and the sent type is any', () => {
  const task = app.task({
    name: 'joi',
    input: Joi.object<{ a: number }>({ a: Joi.number().required() }),
    run: async ({ a }) => {
      expectTypeOf(a).toEqualTypeOf<number>();
    },
  });
  expectTypeOf<InputOf<typeof task>>().toBeAny();
});

test('yup infers what the handler receives, and takes it for the sent type', () => {
  const task = app.task({
    name: 'yup',
    input: yup.object({ a: yup.number().required(), size: yup.number().default(1) }),
    run: async ({ a, size }) => {
      expectTypeOf(a).toEqualTypeOf<number>();
      expectTypeOf(size).toEqualTypeOf<number>();
    },
  });
  expectTypeOf<InputOf<typeof task>>().toEqualTypeOf<{ a: number; size: number }>();
  // @ts-expect-error its type of the input is that of the output, and JSON carries no Date
  app.task({ name: 'date', input: yup.object({ at: yup.date().required() }), run: async () => 1 });
});

test('brands and readonly lists stay', () => {
  app.task({
    name: 'branded',
    input: z.object({ id: z.string().brand('Id'), list: z.array(z.string()).readonly() }),
    run: async ({ id, list }) => {
      expectTypeOf(id).toEqualTypeOf<string & z.core.$brand<'Id'>>();
      expectTypeOf(list).toEqualTypeOf<readonly string[]>();
    },
  });
});

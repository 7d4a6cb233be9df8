/** `app.task({ input })` infers what is sent and what the handler receives, from each schema library, without type arguments. */

import { chain, chord, group } from '@umbel/canvas';
import { createApp, type InputOf, type ReceivedBy, type Signature } from '@umbel/core';
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

test('after a step with more keys, an object of valibot that refuses them does not compile', () => {
  const id = app.task({ name: 'id', run: async () => ({ id: 1 }) });
  const user = app.task({ name: 'user', run: async () => ({ id: 1, name: 'Ada' }) });
  const perhaps = app.task({
    name: 'perhaps',
    run: async (): Promise<{ id: number } | { id: number; name?: string }> => ({ id: 1 }),
  });
  const input = v.strictObject({ id: v.number(), color: v.optional(v.string()) });
  const show = app.task({ name: 'show', input, run: async () => 'shown' });
  const checked = app.task({
    name: 'checked',
    input: v.pipe(
      input,
      v.check(({ id }) => id > 0),
    ),
    run: async () => 'shown',
  });
  const decoded = app.task({
    name: 'decoded',
    input: v.strictObject({ id: v.pipe(v.number(), v.transform(String)) }),
    progress: v.number(),
    run: async ({ id }) => {
      expectTypeOf(id).toEqualTypeOf<string>();
      return id;
    },
  });
  expectTypeOf<ReceivedBy<typeof decoded>>().toEqualTypeOf<{ id: string }>();
  const contract = app.defineTask({ name: 'contract', input, output: v.string() });

  chain(id, show);
  chain(id, checked);
  chain(id, decoded);
  chain(id, contract);
  chain(perhaps, id.si(), show);
  // @ts-expect-error name is refused
  chain(user, show);
  // @ts-expect-error also after a pipe in the schema
  chain(user, checked);
  // @ts-expect-error also if the handler receives another type
  chain(user, decoded);
  // @ts-expect-error also by a contract
  chain(user, contract);
  // @ts-expect-error also if only some results have the key
  chain(perhaps, show);
  // @ts-expect-error also with bound keys
  chain(user, show.s({ color: 'red' }));
  // @ts-expect-error also with options
  chain(user, show.set({ priority: 1 }));
  const body = app.task({ name: 'body', input: v.strictObject({ id: v.string() }), run: async () => 1 });
  const [shown, header] = [chain(id, show), { id: show.si({ id: 1 }), name: show.si({ id: 1 }) }];
  chord({ id: shown }, body);
  // @ts-expect-error also as the body of a chord
  chord(header, body);
  // A key that is bound takes precedence, and a whole input takes nothing.
  chain(id, show.s({ id: 2, color: 'red' }));
  chain(user, show.si({ id: 1 }));
  chain(
    user,
    app
      .task({
        name: 'into',
        input: v.strictObject({ user: v.object({ id: v.number() }) }),
        run: async () => 1,
      })
      .into('user'),
  );
  // Known at run time only: methods, members of groups, and objects within objects.
  user.pipe(show);
  user.link(show);
  const fewer: Signature<string, void, { id: number }> = app.task({
    name: 'aged',
    run: async () => ({ id: 1, age: 2 }),
  });
  chain(fewer, show);
  chain(user, group([show]));
  chain(
    app.task({ name: 'nested', run: async () => ({ o: { id: 1, name: 'Ada' } }) }),
    app.task({
      name: 'deep',
      input: v.object({ o: v.strictObject({ id: v.number() }) }),
      run: async () => 1,
    }),
  );
  // Of the types of the others, a strict object is like any other.
  const strict = z.strictObject({ id: z.number() });
  expectTypeOf(strict).toEqualTypeOf(z.object({ id: z.number() }));
  chain(user, app.task({ name: 'zod.strict', input: strict, run: async () => 1 }));
});

import type { AsyncResult, MemberOutcome, PageEntry } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';

declare const numbers: AsyncResult<number[]>;
declare const pair: AsyncResult<[number, string]>;
declare const record: AsyncResult<{ count: number; name: string }>;
declare const text: AsyncResult<string>;
declare const anything: AsyncResult<unknown>;

test('members are typed by the result: items, values, or the result itself', async () => {
  for await (const member of numbers) expectTypeOf(member).toEqualTypeOf<MemberOutcome<number>>();
  for await (const member of pair.members())
    expectTypeOf(member).toEqualTypeOf<MemberOutcome<number | string>>();
  for await (const member of record) expectTypeOf(member).toEqualTypeOf<MemberOutcome<number | string>>();
  for await (const member of text) expectTypeOf(member).toEqualTypeOf<MemberOutcome<string>>();
  for await (const member of anything) expectTypeOf(member).toEqualTypeOf<MemberOutcome<unknown>>();
  expectTypeOf(await numbers.page({ limit: 1 })).toEqualTypeOf<PageEntry<number>[]>();
});

test('a handle is one of whatever its result is', () => {
  const widened = <Out extends number>(handle: AsyncResult<Out>): AsyncResult<number> => handle;
  expectTypeOf(widened).returns.toExtend<AsyncResult<unknown>>();
  // @ts-expect-error what it gives is not known to be a number
  void (anything satisfies AsyncResult<number>);
});

test('a handle cannot be awaited by accident', () => {
  expectTypeOf<AsyncResult<number>>().not.toHaveProperty('then');
});

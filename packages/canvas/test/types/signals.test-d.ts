/** Waits for signals: what they need, what they give, and what must not compile. */
import { chain, group, map, waitFor } from '@umbel/canvas';
import { createApp, type OutputOf, type Signal, type SignalAnswer } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';

const app = createApp({ name: 'signals' });
const approved = app.signal({
  name: 'expense.approved',
  payload: z.object({ by: z.string(), ok: z.boolean() }),
});
const ready = app.signal({ name: 'ready' });
const draft = app.task({
  name: 'draft',
  input: z.object({ title: z.string() }),
  run: async ({ title }) => ({ id: title, amount: 12 }),
});
const book = app.task({
  name: 'book',
  input: z.object({ by: z.string(), ok: z.boolean() }),
  run: async ({ by }) => by,
});
const record = app.task({
  name: 'record',
  input: z.object({
    id: z.string(),
    amount: z.number(),
    decision: z.object({ by: z.string(), ok: z.boolean() }),
  }),
  run: async ({ amount }) => amount,
});

interface Decision {
  by: string;
  ok: boolean;
}

test('a signal has the types of its payload', () => {
  expectTypeOf(approved).toExtend<Signal<'expense.approved', Decision>>();
  expectTypeOf(approved.send('a', { by: 'ann', ok: true })).toEqualTypeOf<Promise<SignalAnswer>>();
  ready.send('a');
  // @ts-expect-error the payload is missing
  approved.send('a');
  // @ts-expect-error `ok` is missing
  approved.send('a', { by: 'ann' });
  // @ts-expect-error this signal has no payload
  ready.send('a', { by: 'ann' });
  // @ts-expect-error JSON cannot carry a Date
  app.signal({ name: 'dated', payload: z.object({ at: z.date() }) });
});

test('a codec is decoded where the payload is taken', () => {
  const counted = app.signal({
    name: 'counted',
    payload: z.object({ n: z.codec(z.string(), z.number(), { decode: Number, encode: String }) }),
  });
  counted.send('a', { n: '12' });
  expectTypeOf<OutputOf<ReturnType<typeof waitForCounted>>>().toEqualTypeOf<{ n: number }>();
  const waitForCounted = () => waitFor(counted, { timeout: '1d' });
});

test('the result is the payload, united with the value for the timeout', () => {
  const wait = waitFor(approved, { timeout: '7d' });
  expectTypeOf<OutputOf<typeof wait>>().toEqualTypeOf<Decision>();
  const failing = waitFor(approved, { timeout: '7d', onTimeout: 'fail' });
  expectTypeOf<OutputOf<typeof failing>>().toEqualTypeOf<Decision>();
  const late = waitFor(approved, { timeout: '7d', onTimeout: null });
  expectTypeOf<OutputOf<typeof late>>().toEqualTypeOf<Decision | null>();
  const same = waitFor(approved, { timeout: '7d', onTimeout: { by: 'system', ok: false } });
  expectTypeOf<OutputOf<typeof same>>().toEqualTypeOf<Decision>();
  const plain = waitFor(ready, { timeout: 'never' });
  expectTypeOf<OutputOf<typeof plain>>().toEqualTypeOf<null>();
});

test('a timeout is required', () => {
  // @ts-expect-error no timeout
  waitFor(approved, { key: 'id' });
  // @ts-expect-error no options
  waitFor(approved);
  // @ts-expect-error not a duration
  waitFor(approved, { timeout: 'soon' });
  // @ts-expect-error a task is no signal
  waitFor(draft, { timeout: '1d' });
});

test('the previous step has to return the key, as text or a number', () => {
  const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book);
  expectTypeOf<OutputOf<typeof flow>>().toEqualTypeOf<string>();
  chain(draft, waitFor(approved, { key: 'amount', timeout: '7d' }), book);
  // @ts-expect-error `draft` returns no `expense`
  chain(draft, waitFor(approved, { key: 'expense', timeout: '7d' }), book);
  // @ts-expect-error a boolean is no key
  chain(draft, waitFor(approved, { timeout: '1d' }), waitFor(approved, { key: 'ok', timeout: '7d' }));
  chain(draft, waitFor(approved, { key: { text: 'fixed' }, timeout: '7d' }), book);
  const number = app.task({ name: 'number', input: z.number(), run: async (n) => n });
  chain(number, waitFor(approved, { key: { text: 'fixed' }, timeout: '7d' }), book);
  // @ts-expect-error the next step takes no text
  chain(draft, waitFor(approved, { key: 'id', timeout: '7d', onTimeout: 'nobody' }), book);
});

test('with `into` the previous result is passed on', () => {
  const ask = waitFor(approved, { key: 'id', timeout: '7d', into: 'decision' });
  expectTypeOf<OutputOf<typeof ask>>().toEqualTypeOf<{ id: string | number; decision: Decision }>();
  const last = chain(draft, ask);
  expectTypeOf<OutputOf<typeof last>>().toEqualTypeOf<{ id: string; amount: number; decision: Decision }>();
  const flow = chain(draft, ask, record);
  expectTypeOf<OutputOf<typeof flow>>().toEqualTypeOf<number>();
  const both = chain(draft, ask, waitFor(ready, { timeout: '1d', into: 'ready' }));
  expectTypeOf<OutputOf<typeof both>>().toEqualTypeOf<{
    id: string;
    amount: number;
    decision: Decision;
    ready: null;
  }>();
  chain(draft, ask, waitFor(ready, { timeout: '1d', into: 'ready' }), record);
  // @ts-expect-error `record` needs the decision of another type
  chain(draft, waitFor(ready, { timeout: '1d', into: 'decision' }), record);
  // @ts-expect-error the previous result is no object
  chain(book, waitFor(ready, { timeout: '1d', into: 'ready' }));
  const first = chain(ask, waitFor(ready, { timeout: '1d', into: 'ready' }));
  expectTypeOf<OutputOf<typeof first>>().toEqualTypeOf<{
    id: string | number;
    decision: Decision;
    ready: null;
  }>();
});

test('members of groups and maps wait as well', () => {
  const asked = chain(
    draft,
    group({ one: waitFor(approved, { key: 'id', timeout: '1d' }), two: draft.si({ title: 'a' }) }),
  );
  expectTypeOf<OutputOf<typeof asked>>().toEqualTypeOf<{
    one: Decision;
    two: { id: string; amount: number };
  }>();
  const all = map(waitFor(approved, { key: 'id', timeout: '1d' }), [{ id: 'a' }]);
  expectTypeOf<OutputOf<typeof all>>().toEqualTypeOf<Decision[]>();
});

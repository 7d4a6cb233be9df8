/** Groups by policy, members read lazily, map and its kin, branches and fallbacks. */
import { chain, chord, chunks, fallback, flat, group, map, match, starmap, when } from '@umbel/canvas';
import type { FailureRecord, InputOf, OutputOf, Signature, Step, StepOutcome } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import {
  add,
  alarm,
  app,
  area,
  cleanup,
  double,
  fetchPage,
  greet,
  isLarge,
  label,
  listUrls,
  measure,
  notify,
  pair,
  parse,
  remind,
  resize,
  route,
  sum,
} from '../support/tasks.js';

function* someDoubles() {
  yield double;
  yield double;
}
async function* mixedCalls() {
  yield double.si(1);
  yield greet.si({ name: 'a' });
}

test('an empty group needs nothing and gives nothing', () => {
  expectTypeOf(group([])).toEqualTypeOf<Signature<'group', unknown, []>>();
  expectTypeOf(group({})).toEqualTypeOf<Signature<'group', unknown, {}>>();
});

// V43
test('a settled group gives an outcome of each member', () => {
  const settled = group.settled([double.si(1), cleanup.si()]);
  expectTypeOf<OutputOf<typeof settled>>().toEqualTypeOf<[StepOutcome<number>, StepOutcome<void>]>();
  const byName = group.settled({ n: double, page: double });
  expectTypeOf(byName).toEqualTypeOf<
    Signature<'group', number, { n: StepOutcome<number>; page: StepOutcome<number> }>
  >();
  const list = group.settled([1, 2].map((n) => double.si(n)));
  expectTypeOf<OutputOf<typeof list>>().toEqualTypeOf<StepOutcome<number>[]>();
});

// V44
test('a step after a settled group must take outcomes', () => {
  chain(
    group.settled([double.si(1), double.si(2)]),
    // @ts-expect-error sum takes numbers, not outcomes
    sum,
  );
  chord(
    group.settled([double.si(1)]),
    // @ts-expect-error sum takes numbers, not outcomes
    sum,
  );
});

test('an outcome is told apart by ok', () => {
  const outcome = {} as StepOutcome<number>;
  if (outcome.ok) expectTypeOf(outcome.value).toEqualTypeOf<number>();
  else expectTypeOf(outcome.error).toEqualTypeOf<FailureRecord>();
  // @ts-expect-error it may have failed
  void outcome.value;
});

test('the first success is the result of any of the members', () => {
  expectTypeOf(group.any([double, double])).toEqualTypeOf<Signature<'group', number, number>>();
  const first = group.any({ a: double.si(1), b: greet.si({ name: 'a' }) });
  expectTypeOf<OutputOf<typeof first>>().toEqualTypeOf<number | string>();
  chain(
    first,
    // @ts-expect-error it may be text
    double,
  );
});

test('at least some successes are a list', () => {
  expectTypeOf(group.atLeast(1, [double, double])).toEqualTypeOf<Signature<'group', number, number[]>>();
  const some = group.atLeast(1, { a: double.si(1), b: greet.si({ name: 'a' }) });
  expectTypeOf<OutputOf<typeof some>>().toEqualTypeOf<(number | string)[]>();
  // @ts-expect-error how many?
  group.atLeast([double, double]);
  // @ts-expect-error the compiler cannot pair them
  chain(group.atLeast(2, [double.si(1), greet.si({ name: 'a' })]), pair);
});

test('options of a group are checked', () => {
  group([double], { cancelSiblings: true });
  group.any([double], { cancelSiblings: 'running' });
  group.atLeast(1, [double], { cancelSiblings: 'running' });
  // @ts-expect-error it is true or false
  group([double], { cancelSiblings: 'yes' });
  // @ts-expect-error there is no such option
  group([double], { cancel: true });
  // @ts-expect-error a settled group waits for all
  group.settled([double], { cancelSiblings: true });
});

test('members that are read lazily give a list', () => {
  expectTypeOf(group(someDoubles())).toEqualTypeOf<Signature<'group', number, number[]>>();
  expectTypeOf(group(mixedCalls())).toEqualTypeOf<Signature<'group', unknown, (number | string)[]>>();
  expectTypeOf(group(new Set([double]))).toEqualTypeOf<Signature<'group', number, number[]>>();
  const settled = group.settled(mixedCalls());
  expectTypeOf<OutputOf<typeof settled>>().toEqualTypeOf<StepOutcome<number | string>[]>();
  expectTypeOf(chord(someDoubles(), sum)).toEqualTypeOf<Signature<'chord', number, number>>();
  // @ts-expect-error an iterable of texts
  group(new Set(['a']));
});

test('a group of any policy can be the header of a chord', () => {
  expectTypeOf(chord(group([double.si(1), greet.si({ name: 'a' })]), pair)).toEqualTypeOf<
    Signature<'chord', unknown, string>
  >();
  expectTypeOf(chord(group.any([double, double]), double)).toEqualTypeOf<
    Signature<'chord', number, number>
  >();
  expectTypeOf(chord(group.atLeast(1, [double]), sum)).toEqualTypeOf<Signature<'chord', number, number>>();
  expectTypeOf(chord({ width: double, height: double }, area)).toEqualTypeOf<
    Signature<'chord', number, number>
  >();
  // @ts-expect-error a chain is one member of a header: write [chain(…)]
  chord(chain(double), sum);
  // @ts-expect-error a task is one member of a header
  chord(double, sum);
});

// V45, V46
test('map checks each input', () => {
  expectTypeOf(map(double, [1, 2])).toEqualTypeOf<Signature<'map', unknown, number[]>>();
  expectTypeOf(map(double, [])).toEqualTypeOf<Signature<'map', unknown, number[]>>();
  // @ts-expect-error the second is text
  map(double, [1, 'a']);
  map(fetchPage, [
    { url: 'a' },
    // @ts-expect-error there is no such key
    { url: 'b', size: 1 },
  ]);
  map(double, [1, 2] as const);
  map(remind, [{ at: '2026-01-01T00:00:00Z' }]);
});

// V47, V48
test('map without inputs takes a list', () => {
  const workflow = chain(listUrls, map(fetchPage), map(resize.s({ width: 1 })));
  expectTypeOf(workflow).toEqualTypeOf<Signature<'chain', void, { file: string }[]>>();
  chain(
    listUrls,
    // @ts-expect-error the items have a url and no file
    map(measure),
  );
  chain(
    double,
    // @ts-expect-error a number is no list
    map(double),
  );
  chain(group([double, double]), map(double));
  chain(
    group([double.si(1), greet.si({ name: 'a' })]),
    // @ts-expect-error one of the items is text
    map(double),
  );
});

test('map takes signatures and compositions as its step', () => {
  expectTypeOf(map(add.s({ x: 1 }), [{ y: 1 }])).toEqualTypeOf<Signature<'map', unknown, number[]>>();
  expectTypeOf(map(add.into('x', { y: 1 }), [1])).toEqualTypeOf<Signature<'map', unknown, number[]>>();
  expectTypeOf(map(chain(fetchPage, resize.s({ width: 1 })))).toEqualTypeOf<
    Signature<'map', readonly { url: string }[], { file: string }[]>
  >();
  expectTypeOf(map(map(double), [[1], [2]])).toEqualTypeOf<Signature<'map', unknown, number[][]>>();
  // @ts-expect-error x is bound
  map(add.s({ x: 1 }), [{ x: 1, y: 1 }]);
});

test('map reads inputs lazily', () => {
  async function* numbers() {
    yield 1;
  }
  expectTypeOf(map(double, numbers())).toEqualTypeOf<Signature<'map', unknown, number[]>>();
  map(double, new Set([1]));
  // @ts-expect-error a generator of tasks
  map(double, someDoubles());
});

// V49
test('chunks give one flat list', () => {
  expectTypeOf(chunks(double, [1, 2, 3], 2)).toEqualTypeOf<Signature<'chunks', unknown, number[]>>();
  expectTypeOf(chunks(double, 2)).toEqualTypeOf<Signature<'chunks', readonly number[], number[]>>();
  chain(listUrls, chunks(fetchPage, 10));
  // @ts-expect-error the second is text
  chunks(double, [1, 'a'], 2);
  // @ts-expect-error of what size?
  chunks(double, [1, 2]);
});

// V50, V51, V68
test('starmap pairs the values of rows with keys', () => {
  const rows = [
    [1, 2],
    [3, 4],
  ] as const;
  expectTypeOf(starmap(add, ['x', 'y'], rows)).toEqualTypeOf<Signature<'starmap', unknown, number[]>>();
  starmap(add, ['x', 'y'], [[1, 2]]);
  // @ts-expect-error y is not listed
  starmap(add, ['x'], [[1]]);
  // @ts-expect-error there is no z
  starmap(add, ['x', 'z'], [[1, 2]]);
  // @ts-expect-error the second value is text
  starmap(add, ['x', 'y'], [[1, 'a']]);
  // @ts-expect-error a value is missing
  starmap(add, ['x', 'y'], [[1]]);
  // @ts-expect-error undefined cannot stand in a list
  starmap(greet, ['name', 'greeting'], [['a', undefined]]);
  starmap(greet, ['name'], [['a']]);
});

test('starmap without rows takes a list of them', () => {
  expectTypeOf(starmap(add, ['x', 'y'])).toEqualTypeOf<
    Signature<'starmap', readonly (readonly [number, number])[], number[]>
  >();
  chain(group([group([double, double])]), starmap(add, ['x', 'y']));
  chain(
    group([double]),
    // @ts-expect-error a number is no row
    starmap(add, ['x', 'y']),
  );
});

// V52, V53
test('match needs a case for each value that may come', () => {
  const matched = chain(route, match('kind', { img: measure, page: fetchPage }));
  expectTypeOf(matched).toEqualTypeOf<
    Signature<'chain', string, { width: number; height: number } | { path: string; bytes: number }>
  >();
  chain(
    route,
    // @ts-expect-error there is no case for a page
    match('kind', { img: measure }),
  );
  chain(
    route,
    // @ts-expect-error a page has no file
    match('kind', { img: measure, page: measure }),
  );
  chain(
    route,
    // @ts-expect-error there is no such key
    match('sort', { img: measure, page: fetchPage }),
  );
  // @ts-expect-error a case is a step
  match('kind', { img: measure, page: 'fetchPage' });
  chain(route, match('kind', { img: measure, page: fetchPage, film: fetchPage }));
  chain(route, match('kind', { img: cleanup.si(), page: cleanup.si() }));
});

test('match goes by literal unions, numbers and booleans', () => {
  const answer = app.task({
    name: 'answer',
    run: async (): Promise<{ status: 200 | 404; body: string }> => ({ status: 200, body: '' }),
  });
  const read = app.task({ name: 'read', input: z.object({ body: z.string() }), run: async () => 1 });
  chain(answer, match('status', { 200: read, 404: cleanup.si() }));
  chain(answer, match('status', { '200': read, '404': cleanup.si() }));
  chain(
    answer,
    // @ts-expect-error there is no case for 404
    match('status', { 200: read }),
  );
  const told = app.task({ name: 'told', input: z.object({ value: z.number() }), run: async () => 'yes' });
  const failed = app.task({
    name: 'failed',
    input: z.object({ error: z.object({ task: z.string() }) }),
    run: async () => false,
  });
  const outcomes = chain(group.settled([double.si(1)]), map(match('ok', { true: told, false: failed })));
  expectTypeOf<OutputOf<typeof outcomes>>().toEqualTypeOf<(string | boolean)[]>();
  chain(
    group.settled([double.si(1)]),
    // @ts-expect-error a failure has no value
    map(match('ok', { true: told, false: told })),
  );
});

test('match narrows the input of a case that is a union', () => {
  const send = chain(
    notify.si({ via: 'sms', phone: 1, text: '' }),
    app.task({ name: 'draft', input: z.boolean(), run: async (): Promise<InputOf<typeof notify>> => mail }),
    match('via', { mail: notify, sms: notify.s({ text: 'x' }) }),
  );
  expectTypeOf<OutputOf<typeof send>>().toEqualTypeOf<boolean>();
});

test('when takes a step that gives true or false', () => {
  expectTypeOf(when(isLarge, double, double)).toEqualTypeOf<Signature<'when', number, number>>();
  expectTypeOf(when(isLarge, add.into('x', { y: 1 }), greet.si({ name: 'a' }))).toEqualTypeOf<
    Signature<'when', number, number | string>
  >();
  // @ts-expect-error double gives a number
  when(double, double);
  // @ts-expect-error nothing is known of what parse gives
  when(parse, cleanup.si());
});

test('when without otherwise passes the value through', () => {
  const toText = app.task({ name: 'toText', input: z.number(), run: async (n) => `${n}` });
  expectTypeOf(when(isLarge, toText)).toEqualTypeOf<Signature<'when', number, string | number>>();
  chain(double, when(isLarge, double), double);
  chain(
    double,
    when(isLarge, toText),
    // @ts-expect-error it may be text
    double,
  );
});

test('both branches of when take the previous value', () => {
  chain(measure, when({ width: { gt: 5 } }, area, cleanup.si()));
  chain(
    measure,
    // @ts-expect-error the height is a number
    when({ width: { gt: 5 } }, area, label),
  );
  chain(
    greet,
    // @ts-expect-error the step that tests takes a number
    when(isLarge, cleanup.si()),
  );
});

test('a comparison fits what the branches say of its key', () => {
  when({ width: 5 }, area);
  when({ width: { gte: 5, lt: 10 }, height: { in: [1, 2], ne: 3 } }, area);
  // @ts-expect-error the width is a number
  when({ width: 'five' }, area);
  // @ts-expect-error the width is a number
  when({ width: { gt: '5' } }, area);
  // @ts-expect-error there is no such comparison
  when({ width: { more: 5 } }, area);
  // @ts-expect-error there is no such way
  when({ via: 'fax' }, notify);
  when({ via: 'sms' }, notify);
  when({ greeting: { exists: false } }, greet);
});

test('a comparison says what a key has to be that no branch names', () => {
  const byName = when({ kind: 'page' }, area);
  expectTypeOf<InputOf<typeof byName>>().toEqualTypeOf<{
    width: number;
    height: number;
    kind: string | null;
  }>();
  chain(route, when({ kind: 'img' }, cleanup.si(), double.si(1)));
  chain(
    measure,
    // @ts-expect-error there is no such key
    when({ wdth: { gt: 5 } }, area),
  );
  chain(
    measure,
    // @ts-expect-error the width is a number
    when({ width: 'five' }, cleanup.si(), cleanup.si()),
  );
  const maybe = when({ note: { exists: true, gt: 4 } }, area, cleanup.si());
  expectTypeOf<InputOf<typeof maybe>>().toEqualTypeOf<{
    width: number;
    height: number;
    note?: number | null;
  }>();
  chain(measure, maybe);
});

test('the branches see the whole union, match each its member', () => {
  chain(
    route,
    // @ts-expect-error a page has no file
    when({ kind: 'img' }, measure, cleanup.si()),
  );
  chain(route, match('kind', { img: measure, page: cleanup.si() }));
});

test('the other step of a fallback takes a failure', () => {
  expectTypeOf(fallback(double, alarm)).toEqualTypeOf<Signature<'fallback', number, number | string>>();
  expectTypeOf(fallback(double, double.si(0))).toEqualTypeOf<Signature<'fallback', number, number>>();
  chain(double, fallback(double, cleanup.si()));
  // @ts-expect-error a failure is no list of numbers
  fallback(double, sum);
  chain(
    fallback(double, alarm),
    // @ts-expect-error it may be text
    double,
  );
  expectTypeOf(fallback(fallback(double, alarm), cleanup.si())).toEqualTypeOf<
    Signature<'fallback', number, number | string | void>
  >();
});

test('flat takes one level of lists away', () => {
  const mixed = flat(group([map(double, [1]), map(greet, [{ name: 'a' }])]));
  expectTypeOf(mixed).toEqualTypeOf<Signature<'flat', unknown, (number | string)[]>>();
  const nested = flat(map(map(map(double)), [[[1]]]));
  expectTypeOf<OutputOf<typeof nested>>().toEqualTypeOf<number[][]>();
  chain(flat(group([map(double, [1])])), sum);
  // @ts-expect-error a list of numbers
  flat(map(double, [1]));
  // @ts-expect-error a number
  flat(double);
  // @ts-expect-error a record
  flat(group({ a: map(double, [1]) }));
});

test('constructs nest', () => {
  const workflow = chain(
    listUrls,
    map(chain(fetchPage, group({ small: resize.s({ width: 1 }), large: resize.s({ width: 2 }) }))),
    map(group.settled({ a: measured('small'), b: measured('large') })),
  );
  type Size = StepOutcome<{ width: number; height: number }>;
  expectTypeOf<OutputOf<typeof workflow>>().toEqualTypeOf<{ a: Size; b: Size }[]>();
  const records = group({ outer: group({ inner: double }), list: group([double, group({ deep: double })]) });
  expectTypeOf<OutputOf<typeof records>>().toEqualTypeOf<{
    outer: { inner: number };
    list: [number, { deep: number }];
  }>();
});

test('helpers can be generic over what they are made of', () => {
  function retried<In, Out>(step: Step<string, In, Out>) {
    return fallback(step, cleanup.si());
  }
  expectTypeOf(retried(double)).toEqualTypeOf<Signature<'fallback', number, number | void>>();
  function overAll<In, Out>(step: Step<string, In, Out>, inputs: readonly In[]) {
    return map(step, inputs);
  }
  expectTypeOf(overAll(double, [1])).toEqualTypeOf<Signature<'map', unknown, number[]>>();
  function allOf<In, Out>(steps: readonly Step<string, In, Out>[]) {
    return group.settled(steps);
  }
  const all = allOf([double, double]);
  expectTypeOf<OutputOf<typeof all>>().toEqualTypeOf<StepOutcome<number>[]>();
});

declare const mail: { via: 'mail'; to: string; text: string };
declare function measured<Key extends string>(
  key: Key,
): Signature<'measured', { readonly [K in Key]: { file: string } }, { width: number; height: number }>;

const loose = app.task({
  name: 'loose',
  input: z.looseObject({ url: z.string(), size: z.number() }),
  run: async () => 1,
});

test('starmap needs the keys that an open input names, and those of every member of a union', () => {
  starmap(loose, ['url', 'size'], [['a', 1]]);
  // @ts-expect-error size is not listed
  starmap(loose, ['url'], [['a']]);
  // @ts-expect-error nothing fits each way of notifying
  starmap(notify, ['via', 'text'], [['sms', 'a']]);
});

test('an open input in a composition needs the keys that it names', () => {
  chain(measure.si({ file: 'a' }), loose.s({ url: 'a', size: 1 }));
  // @ts-expect-error size is missing
  chain(listUrls, map(loose));
  // @ts-expect-error size is missing
  chain(fetchPage, loose.s({ url: 'a' }));
  // @ts-expect-error url is missing
  chain(measure, group([loose.s({ size: 1 })]));
  // @ts-expect-error url is missing
  chain(measure, chunks(loose.into('more', { size: 1 }), 2));
});

test('a condition needs its key of the step before, also where the branches take any other keys', () => {
  const decided = when({ rank: { gt: 1 } }, loose);
  expectTypeOf<InputOf<typeof decided>['rank']>().toEqualTypeOf<number | null>();
  const page = app.task({ name: 'page', run: async () => ({ url: 'a', size: 1 }) });
  // @ts-expect-error rank is missing
  chain(page, when({ rank: { gt: 1 } }, loose, loose));
});

import { chain, chord, group } from '@umbel/canvas';
import type { AnyStep, InputOf, OutputOf, Signature, Step } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import {
  add,
  app,
  area,
  cleanup,
  double,
  fetchPage,
  greet,
  label,
  measure,
  pair,
  parse,
  resize,
  sum,
} from '../support/tasks.js';

// V25
test('a chain takes what its first step needs and gives what its last step gives', () => {
  const pipeline = chain(fetchPage, resize.s({ width: 3 }), measure, area);
  expectTypeOf(pipeline).toEqualTypeOf<Signature<'chain', { url: string }, number>>();
});

// V26
test('a step that cannot take the previous result is refused at that argument', () => {
  chain(
    fetchPage,
    resize.s({ width: 3 }),
    // @ts-expect-error area needs a size, resize gives a file
    area,
  );
});

// V27
test('a key that nothing brings is refused', () => {
  chain(
    fetchPage,
    // @ts-expect-error width is open and fetchPage does not give it
    resize,
  );
});

// V28
test('a key of the wrong type is refused, also one level down', () => {
  chain(
    fetchPage,
    resize.s({ width: 3 }),
    measure,
    // @ts-expect-error label needs width as a string
    label,
  );
});

// V29, V30
test('a result is not dropped silently', () => {
  chain(
    fetchPage,
    // @ts-expect-error cleanup takes no input: write cleanup.si()
    cleanup,
  );
  const explicit = chain(fetchPage, cleanup.si(), add.si({ x: 1, y: 2 }), double);
  expectTypeOf<OutputOf<typeof explicit>>().toEqualTypeOf<number>();
});

// V22, V24
test('a scalar is piped into one key with into', () => {
  const pipeline = chain(double, add.into('x', { y: 4 }), double);
  expectTypeOf(pipeline).toEqualTypeOf<Signature<'chain', number, number>>();
  chain(
    double,
    // @ts-expect-error a number has no key x
    add.s({ y: 4 }),
  );
});

// V31
test('a call that was already sent is not a step', () => {
  chain(
    fetchPage,
    // @ts-expect-error a promise of a handle
    measure.delay({ file: 'x' }),
  );
});

// V32
test('an empty chain is refused', () => {
  // @ts-expect-error a chain needs a step
  chain();
});

// V35
test('a chain inside a chain is a step like any other', () => {
  const nested = chain(fetchPage, chain(resize.s({ width: 1 }), measure), area);
  expectTypeOf(nested).toEqualTypeOf<Signature<'chain', { url: string }, number>>();
});

test('a chain sends only what its first step still needs', () => {
  // @ts-expect-error an input is required
  void chain(resize.s({ width: 3 }), measure).delay();
  expectTypeOf(chain(resize.s({ width: 3 }), measure).delay).toBeCallableWith({ path: 'a' });
});

// V36
test('a tuple of members gives a tuple of results', () => {
  const members = group([double, greet.si({ name: 'a' })]);
  expectTypeOf<OutputOf<typeof members>>().toEqualTypeOf<[number, string]>();
  const joined = chain(members, pair);
  expectTypeOf<OutputOf<typeof joined>>().toEqualTypeOf<string>();
});

// V37
test('the order of a tuple counts', () => {
  chain(
    group([greet.si({ name: 'a' }), double]),
    // @ts-expect-error pair needs [number, string]
    pair,
  );
});

// V39
test('an array of members gives an array of results', () => {
  const members = group([1, 2].map((n) => double.si(n)));
  expectTypeOf<OutputOf<typeof members>>().toEqualTypeOf<number[]>();
});

// V38
test('a record of members gives a record of results, and needs what the members need together', () => {
  const members = group({ page: fetchPage, n: double.si(1) });
  expectTypeOf(members).toEqualTypeOf<
    Signature<'group', { url: string }, { page: { path: string; bytes: number }; n: number }>
  >();
});

test('a group keeps the nesting of groups in it', () => {
  const nested = group([double, group([double, double])]);
  expectTypeOf<OutputOf<typeof nested>>().toEqualTypeOf<[number, [number, number]]>();
});

// V42
test('every member of a group after a step must take its result', () => {
  chain(
    double,
    // @ts-expect-error fetchPage needs a url
    group([double, fetchPage]),
  );
});

test('members that share no input cannot be sent', () => {
  const impossible = group([double, greet]);
  // @ts-expect-error nothing is a number and an object with a name
  void impossible.delay();
});

test('a group refuses what is not a step', () => {
  // @ts-expect-error a number is not a step
  group([double, 3]);
});

// V40
test('the body of a chord takes the list of results', () => {
  const joined = chord([double.si(1), add.si({ x: 1, y: 2 })], sum);
  expectTypeOf<OutputOf<typeof joined>>().toEqualTypeOf<number>();
});

// V41
test('a body that cannot take the results is refused at the body', () => {
  chord(
    [double.si(1), greet.si({ name: 'a' })],
    // @ts-expect-error sum needs numbers, the header gives [number, string]
    sum,
  );
});

test('a chord is a step in a chain', () => {
  const workflow = chain(chord([double.si(1), double.si(2)], sum), double);
  expectTypeOf(workflow).toEqualTypeOf<Signature<'chain', unknown, number>>();
});

// V63
test('a step after a result of type any is checked against unknown', () => {
  chain(
    parse,
    // @ts-expect-error unknown is not a number
    double,
  );
});

// V54, V55
test('a spread of unknown length is refused, chain.of takes it', () => {
  const steps: (typeof double)[] = [double, double];
  // @ts-expect-error the compiler cannot pair the steps
  chain(double, ...steps);
  const workflow = chain(double, chain.of(steps), double);
  expectTypeOf(workflow).toEqualTypeOf<Signature<'chain', number, number>>();
});

test('a fixed tuple can be spread', () => {
  const steps = [resize.s({ width: 1 }), measure] as const;
  const workflow = chain(fetchPage, ...steps);
  expectTypeOf<OutputOf<typeof workflow>>().toEqualTypeOf<{ width: number; height: number }>();
});

test('helpers can be generic over steps', () => {
  function twice<T>(step: Step<string, T, T>) {
    return chain(step, step);
  }
  expectTypeOf(twice(double)).toEqualTypeOf<Signature<'chain', number, number>>();
});

test('three levels of nesting keep their types', () => {
  const workflow = chain(
    fetchPage,
    group({
      thumbnail: chain(resize.s({ width: 1 }), group([measure, measure])),
      bytes: chain(resize.s({ width: 2 }), measure, area),
    }),
  );
  expectTypeOf<InputOf<typeof workflow>>().toEqualTypeOf<{ url: string }>();
  type Size = OutputOf<typeof measure>;
  expectTypeOf<OutputOf<typeof workflow>>().toEqualTypeOf<{ thumbnail: [Size, Size]; bytes: number }>();
});

test('a task, a signature and a composition are all steps', () => {
  expectTypeOf(double).toExtend<AnyStep>();
  expectTypeOf(add.s({ x: 1 })).toExtend<AnyStep>();
  expectTypeOf(group([double])).toExtend<AnyStep>();
});

test('a next step that would take nothing of the result is refused, even if it requires nothing', () => {
  const tune = app.task({
    name: 'tune',
    input: z.object({ level: z.number().optional() }),
    run: async () => 1,
  });
  chain(
    measure,
    // @ts-expect-error a size has no level
    tune,
  );
});

test('a result may have more keys than the next step takes, and an optional key may be missing', () => {
  const named = app.task({ name: 'named', run: async () => ({ name: 'a', age: 1 }) });
  const greeted = app.task({
    name: 'greeted',
    run: async (): Promise<{ name: string; greeting?: string }> => ({ name: 'a' }),
  });
  chain(named, greet);
  chain(greeted, greet);
  const maybe = app.task({ name: 'maybe', run: async (): Promise<{ name?: string }> => ({}) });
  chain(
    maybe,
    // @ts-expect-error the name may be missing
    greet,
  );
});

test('an interface fits like a type of the same shape', () => {
  interface Size {
    width: number;
    height: number;
  }
  const sized = app.task({ name: 'sized', run: async (): Promise<Size> => ({ width: 1, height: 2 }) });
  expectTypeOf(chain(sized, area)).toEqualTypeOf<Signature<'chain', void, number>>();
});

test('readonly lists and tuples can be given where lists are taken', () => {
  const list = app.task({ name: 'list', run: async (): Promise<readonly number[]> => [1] });
  const tuple = app.task({ name: 'tuple', run: async () => [1, 'a'] as const });
  chain(list, sum);
  chain(tuple, pair);
  const reads = app.task({ name: 'reads', input: z.array(z.number()).readonly(), run: async () => 1 });
  chain(group([double, double]), reads);
});

test('each member of a union result has to fit', () => {
  const either = app.task({ name: 'either', run: async (): Promise<number | string> => 1 });
  const takesBoth = app.task({ name: 'both', input: z.union([z.number(), z.string()]), run: async () => 1 });
  chain(either, takesBoth);
  chain(double, takesBoth);
  chain(
    either,
    // @ts-expect-error it may be text
    double,
  );
});

test('what never gives a result can stand before anything', () => {
  const throws = app.task({
    name: 'throws',
    run: async () => {
      throw new Error();
    },
  });
  expectTypeOf(chain(throws, double)).toEqualTypeOf<Signature<'chain', void, number>>();
});

test('recursive results are compared', () => {
  interface Tree {
    value: number;
    children: Tree[];
  }
  interface Labelled {
    value: string;
    children: Labelled[];
  }
  const grow = app.task({ name: 'grow', run: async (): Promise<Tree> => ({ value: 1, children: [] }) });
  const count = {} as Signature<'count', Tree, number>;
  const read = {} as Signature<'read', Labelled, number>;
  chain(grow, count);
  chain(
    grow,
    // @ts-expect-error the value is a number
    read,
  );
});

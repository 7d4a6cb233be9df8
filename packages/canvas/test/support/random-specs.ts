/** Random compositions, described as plain data so that one that fails can be printed, and made smaller. */
import {
  chain,
  chord,
  chunks,
  fallback,
  flat,
  group,
  loop,
  map,
  match,
  sleep,
  starmap,
  waitFor,
  when,
} from '@umbel/canvas';
import type { Signal, Signature } from '@umbel/core';
import fc from 'fast-check';
import type { Deed, Payload } from './node-task.js';
import type { AnySignature } from './places.js';

export type Spec =
  | { readonly is: 'node'; readonly does: Deed; readonly fixed?: true }
  /** An object, whose keys go on, and a task that takes them. */
  | { readonly is: 'routed' }
  | { readonly is: 'become'; readonly other: Spec }
  | { readonly is: 'grow'; readonly other: Spec }
  | {
      readonly is: 'chain' | 'group' | 'settled' | 'any' | 'atLeast';
      readonly parts: readonly Spec[];
    }
  | { readonly is: 'cut'; readonly policy: 'all' | 'any'; readonly parts: readonly Spec[] }
  | { readonly is: 'record'; readonly parts: Readonly<Record<string, Spec>> }
  | { readonly is: 'chord'; readonly parts: readonly Spec[]; readonly body: Spec }
  | { readonly is: 'wide'; readonly width: number; readonly part: Spec }
  | { readonly is: 'map'; readonly part: Spec; readonly inputs?: readonly string[] }
  | { readonly is: 'starmap'; readonly rows?: readonly (readonly string[])[] }
  | { readonly is: 'chunks'; readonly size: number; readonly does: Deed; readonly inputs?: readonly string[] }
  | { readonly is: 'match'; readonly cases: Readonly<Record<string, Spec>> }
  | { readonly is: 'when'; readonly kinds: readonly string[]; readonly yes: Spec; readonly no?: Spec }
  | { readonly is: 'whenStep'; readonly test: Spec; readonly yes: Spec; readonly no?: Spec }
  | { readonly is: 'fallback'; readonly part: Spec; readonly other: Spec }
  | { readonly is: 'flat'; readonly part: Spec }
  /** A part, and a sleep before or after it. */
  | { readonly is: 'sleep'; readonly part: Spec; readonly ms: number; readonly isFirst: boolean }
  | {
      readonly is: 'loop';
      readonly part: Spec;
      readonly max: number;
      /** Done if the value has one of these kinds, or by a step. */
      readonly until: { readonly kinds: readonly string[] } | { readonly test: Spec };
      readonly everyMs?: number;
      /** The maximum cost of all turns. */
      readonly budget?: number;
    }
  /** A node that makes a key, and a wait for a signal with it. */
  | {
      readonly is: 'wait';
      /** Nobody sends `silent` ones. */
      readonly signal: 'decided' | 'silent';
      /** Absent: an hour. */
      readonly timeoutMs?: number;
      /** Absent: it fails after its time. */
      readonly onTimeout?: string;
      readonly isInto?: true;
    }
  | { readonly is: 'linked'; readonly part: Spec; readonly callbacks: readonly Callback[] };

interface Callback {
  readonly on: 'link' | 'linkError' | 'finally';
  readonly spec: Spec;
}

/** The task of all nodes, as far as it is needed here. */
export interface NodeTask {
  into(key: 'value', bound: { n: number; does: Deed }): AnySignature;
  s(bound: { n: number; does: Deed }): AnySignature;
  si(input: { n: number; does: Deed; value: unknown }): AnySignature;
  readonly signals: { readonly [Name in 'decided' | 'silent']: Signal<Name, Payload> };
}

/** The composition that a spec describes, with its nodes numbered; what belongs to nodes is put into `belongings`. */
export function build(spec: Spec, task: NodeTask, belongings: Map<number, AnySignature>): AnySignature {
  let last = 0;
  const number = () => {
    last += 1;
    return last;
  };
  const node = (does: Deed) => task.into('value', { n: number(), does });
  const keyed = (does: Deed) => task.s({ n: number(), does });
  const owning = (does: Deed, other: Spec) => {
    const n = number();
    belongings.set(n, made(other));
    return task.into('value', { n, does });
  };
  const all = (specs: readonly Spec[]) => specs.map(made);
  const named = (specs: Readonly<Record<string, Spec>>) =>
    Object.fromEntries(Object.entries(specs).map(([key, each]) => [key, made(each)]));
  const made = (each: Spec): AnySignature => {
    switch (each.is) {
      case 'node':
        return each.fixed ? task.si({ n: number(), does: each.does, value: 'fixed' }) : node(each.does);
      case 'routed':
        return chain(node('route'), keyed('mix'));
      case 'become':
      case 'grow':
        return owning(each.is, each.other);
      case 'chain':
        return chain.of(all(each.parts));
      case 'group':
        return group(all(each.parts));
      case 'settled':
        return group.settled(all(each.parts));
      case 'any':
        return group.any(all(each.parts));
      case 'atLeast':
        return group.atLeast(Math.ceil(each.parts.length / 2), all(each.parts));
      case 'cut':
        return each.policy === 'all'
          ? group(all(each.parts), { cancelSiblings: true })
          : group.any(all(each.parts), { cancelSiblings: true });
      case 'record':
        return group(named(each.parts));
      case 'chord':
        return chord(all(each.parts), made(each.body));
      case 'wide':
        return group(Array.from({ length: each.width }, () => made(each.part)));
      case 'map':
        return each.inputs === undefined
          ? chain(node('spread'), list(map(made(each.part))))
          : map(made(each.part), each.inputs);
      case 'starmap': {
        const pair = keyed('mix') as Signature<string, { value: unknown; extra: unknown }, unknown>;
        return each.rows === undefined
          ? chain(node('rows'), list(starmap(pair, ['value', 'extra'])))
          : starmap(pair, ['value', 'extra'], each.rows as [unknown, unknown][]);
      }
      case 'chunks':
        return each.inputs === undefined
          ? chain(node('spread'), list(chunks(node(each.does), each.size)))
          : chunks(node(each.does), each.inputs, each.size);
      case 'match':
        return chain(node('route'), match('kind', named(each.cases)) as AnySignature);
      case 'when': {
        const [only] = each.kinds;
        const test = { kind: each.kinds.length === 1 && only !== undefined ? only : { in: each.kinds } };
        const step =
          each.no === undefined ? when(test, made(each.yes)) : when(test, made(each.yes), made(each.no));
        return chain(node('route'), step as AnySignature);
      }
      case 'whenStep': {
        const test = made(each.test) as Signature<string, unknown, boolean>;
        return each.no === undefined ? when(test, made(each.yes)) : when(test, made(each.yes), made(each.no));
      }
      case 'fallback':
        return fallback(made(each.part), made(each.other));
      case 'flat':
        return flat(made(each.part) as Signature<string, unknown, unknown[][]>);
      case 'sleep': {
        const rest = sleep(each.ms) as AnySignature;
        return chain.of(each.isFirst ? [rest, made(each.part)] : [made(each.part), rest]);
      }
      case 'loop':
        return looped(made(each.part), each, 'test' in each.until ? made(each.until.test) : undefined);
      case 'wait': {
        const { signal, timeoutMs, onTimeout, isInto } = each;
        const wait = waitFor(task.signals[signal], {
          ...{ key: 'signalKey', timeout: timeoutMs ?? '1h' },
          ...(onTimeout !== undefined && { onTimeout }),
          ...(isInto && { into: 'decision' }),
        });
        return chain.of([node(signal === 'silent' ? 'silent' : 'ticket'), wait as unknown as AnySignature]);
      }
      case 'linked':
        return each.callbacks.reduce((to, { on, spec: callback }) => to[on](made(callback)), made(each.part));
    }
  };
  return made(spec);
}

type LoopSpec = Extract<Spec, { is: 'loop' }>;

/** A loop of a body of which only a test knows that it takes what it gives. */
function looped(
  body: AnySignature,
  { until, max, everyMs, budget }: LoopSpec,
  test: AnySignature | undefined,
): AnySignature {
  const build = loop as unknown as (body: AnySignature, options: object) => AnySignature;
  return build(body, {
    until: 'kinds' in until ? { kind: { in: until.kinds } } : test,
    max,
    ...(everyMs !== undefined && { every: everyMs }),
    ...(budget !== undefined && { budget: { key: 'cost', max: budget } }),
  });
}

/** A step that takes a list, after one of which only a test knows that it gives one. */
function list<In, Out>(step: Signature<string, readonly In[], Out>): AnySignature {
  return step as unknown as AnySignature;
}

const texts = (maxLength: number) => fc.array(fc.constantFrom('p', 'q', 'r', 's'), { maxLength });
const does = (...deeds: Deed[]) =>
  fc.constantFrom(...deeds).map((deed): Spec => ({ is: 'node', does: deed }));
const asks = does('ask', 'ask', 'ask', 'mix', 'fail', 'stop');
const kinds = fc.subarray(['a', 'b', 'c'], { minLength: 1 });

/** Nodes that give a value whatever happens. */
const safe: fc.Arbitrary<Spec> = fc.oneof(
  { arbitrary: does('mix', 'spread', 'route', 'nothing', 'retry'), weight: 4 },
  { arbitrary: fc.constant<Spec>({ is: 'routed' }), weight: 1 },
  { arbitrary: fc.constant<Spec>({ is: 'node', does: 'mix', fixed: true }), weight: 1 },
);

const leaf: fc.Arbitrary<Spec> = fc.oneof(
  { arbitrary: safe, weight: 12 },
  { arbitrary: does('fail', 'picky', 'stop'), weight: 3 },
  {
    arbitrary: fc.record({
      is: fc.constant('chunks' as const),
      size: fc.integer({ min: 1, max: 3 }),
      does: fc.constantFrom<Deed>('mix', 'picky'),
      inputs: texts(5),
    }),
    weight: 1,
  },
  {
    arbitrary: fc.record({
      is: fc.constant('chunks' as const),
      size: fc.integer({ min: 1, max: 3 }),
      does: fc.constantFrom<Deed>('mix', 'picky'),
    }),
    weight: 1,
  },
  { arbitrary: fc.constant<Spec>({ is: 'starmap' }), weight: 1 },
  {
    arbitrary: fc
      .array(fc.tuple(fc.constantFrom('p', 'q'), fc.constantFrom('r', 's')), { maxLength: 3 })
      .map((rows): Spec => ({ is: 'starmap', rows })),
    weight: 1,
  },
);

/** Waits that are decided by a signal, by their time, or by what is first; some fail after their time. */
const waits: fc.Arbitrary<Spec> = fc
  .tuple(
    fc.constantFrom<Omit<Extract<Spec, { is: 'wait' }>, 'is' | 'isInto'>>(
      { signal: 'decided' },
      { signal: 'decided' },
      { signal: 'decided', timeoutMs: 1, onTimeout: 'late' },
      { signal: 'decided', timeoutMs: 12, onTimeout: 'late' },
      { signal: 'decided', timeoutMs: 40, onTimeout: 'late' },
      { signal: 'silent', timeoutMs: 15, onTimeout: 'late' },
      { signal: 'silent', timeoutMs: 15 },
    ),
    fc.boolean(),
  )
  .map(([wait, isInto]): Spec => ({ is: 'wait', ...wait, ...(isInto && { isInto }) }));

/** Loops over a body and a last step, which says what the turn has cost. */
const loops = (body: fc.Arbitrary<Spec>): fc.Arbitrary<Spec> =>
  fc
    .tuple(
      body,
      fc.integer({ min: 1, max: 3 }),
      fc.oneof(
        kinds.map((names) => ({ kinds: names })),
        asks.map((test) => ({ test })),
      ),
      fc.record({ everyMs: fc.nat(15), budget: fc.integer({ min: 1, max: 5 }) }, { requiredKeys: [] }),
    )
    .map(([part, max, until, more]): Spec => {
      const turn: Spec = { is: 'chain', parts: [part, { is: 'node', does: 'spend' }] };
      return { is: 'loop', part: turn, max, until, ...more };
    });

/** Compositions of which each part may be skipped: without callbacks and fallbacks, which are sent or not. */
const { skippable } = fc.letrec<{ skippable: Spec }>((tie) => ({
  skippable: fc.oneof(
    { maxDepth: 2 },
    does('mix', 'mix', 'fail'),
    fc.array(tie('skippable'), { minLength: 1, maxLength: 3 }).map((parts): Spec => ({ is: 'chain', parts })),
    fc.array(tie('skippable'), { minLength: 1, maxLength: 2 }).map((parts): Spec => ({ is: 'group', parts })),
  ),
}));

const callback = fc.record<Callback>({
  on: fc.constantFrom('link', 'linkError', 'finally'),
  spec: fc.oneof(
    does('mix', 'mix', 'fail'),
    fc.array(does('mix'), { minLength: 2, maxLength: 2 }).map((parts): Spec => ({ is: 'chain', parts })),
    fc.array(does('mix'), { minLength: 2, maxLength: 2 }).map((parts): Spec => ({ is: 'group', parts })),
  ),
});

const grower = fc
  .oneof(
    safe,
    safe,
    does('fail', 'picky'),
    fc.array(safe, { minLength: 2, maxLength: 2 }).map((parts): Spec => ({ is: 'chain', parts })),
  )
  .map((other): Spec => ({ is: 'grow', other }));

/** Anything, mostly not deep. */
const { composition } = fc.letrec<{ composition: Spec }>((tie) => {
  const part = tie('composition');
  const parts = (minLength: number, maxLength: number) => fc.array(part, { minLength, maxLength });
  return {
    composition: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true, maxDepth: 8 },
      { arbitrary: leaf, weight: 6 },
      { arbitrary: parts(1, 4).map((of): Spec => ({ is: 'chain', parts: of })), weight: 4 },
      { arbitrary: parts(0, 4).map((of): Spec => ({ is: 'group', parts: of })), weight: 3 },
      { arbitrary: parts(0, 3).map((of): Spec => ({ is: 'settled', parts: of })), weight: 1 },
      { arbitrary: parts(1, 3).map((of): Spec => ({ is: 'any', parts: of })), weight: 1 },
      { arbitrary: parts(1, 3).map((of): Spec => ({ is: 'atLeast', parts: of })), weight: 1 },
      {
        arbitrary: fc
          .array(
            fc.oneof(
              safe,
              grower,
              fc.tuple(fc.oneof(safe, grower), grower).map((of): Spec => ({ is: 'chain', parts: of })),
            ),
            { minLength: 1, maxLength: 3 },
          )
          .chain((of) =>
            fc.constantFrom('group' as const, 'settled' as const).map((is): Spec => ({ is, parts: of })),
          ),
        weight: 1,
      },
      {
        arbitrary: fc.record({
          is: fc.constant('cut' as const),
          policy: fc.constantFrom('all' as const, 'any' as const),
          parts: fc.array(skippable, { minLength: 1, maxLength: 3 }),
        }),
        weight: 1,
      },
      {
        arbitrary: fc
          .dictionary(fc.constantFrom('a', 'b', 'z', '0'), part, { maxKeys: 3 })
          .map((of): Spec => ({ is: 'record', parts: of })),
        weight: 1,
      },
      {
        arbitrary: fc.tuple(parts(0, 3), part).map(([of, body]): Spec => ({ is: 'chord', parts: of, body })),
        weight: 2,
      },
      { arbitrary: part.map((each): Spec => ({ is: 'map', part: each })), weight: 1 },
      {
        arbitrary: fc
          .tuple(part, texts(3))
          .map(([each, inputs]): Spec => ({ is: 'map', part: each, inputs })),
        weight: 1,
      },
      {
        arbitrary: fc.tuple(kinds, part, part, part).map(([names, ...of]): Spec => {
          const cases = Object.fromEntries(names.map((name, index) => [name, of[index] ?? of[0]]));
          return { is: 'match', cases };
        }),
        weight: 1,
      },
      {
        arbitrary: fc.record(
          { is: fc.constant('when' as const), kinds, yes: part, no: part },
          { requiredKeys: ['is', 'kinds', 'yes'] },
        ),
        weight: 1,
      },
      {
        arbitrary: fc.record(
          { is: fc.constant('whenStep' as const), test: asks, yes: part, no: part },
          { requiredKeys: ['is', 'test', 'yes'] },
        ),
        weight: 1,
      },
      {
        arbitrary: fc.tuple(part, part).map(([each, other]): Spec => ({ is: 'fallback', part: each, other })),
        weight: 2,
      },
      {
        arbitrary: fc
          .oneof(
            part,
            parts(0, 3).map((of): Spec => ({ is: 'group', parts: of })),
          )
          .map((each): Spec => ({ is: 'flat', part: each })),
        weight: 1,
      },
      {
        arbitrary: fc
          .tuple(part, fc.array(callback, { minLength: 1, maxLength: 3 }))
          .map(([each, callbacks]): Spec => ({ is: 'linked', part: each, callbacks })),
        weight: 3,
      },
      { arbitrary: part.map((other): Spec => ({ is: 'become', other })), weight: 2 },
      { arbitrary: waits, weight: 5 },
      { arbitrary: loops(part), weight: 5 },
      {
        arbitrary: fc.record({
          is: fc.constant('sleep' as const),
          part,
          ms: fc.nat(30),
          isFirst: fc.boolean(),
        }),
        weight: 1,
      },
    ),
  };
});

const mix: Spec = { is: 'node', does: 'mix' };

/** One more level round a composition. */
const wrapper: fc.Arbitrary<(inner: Spec) => Spec> = fc.oneof(
  ...[
    (inner: Spec): Spec => ({ is: 'chain', parts: [mix, inner, mix] }),
    (inner: Spec): Spec => ({ is: 'group', parts: [mix, inner] }),
    (inner: Spec): Spec => ({ is: 'chain', parts: [mix, { is: 'group', parts: [inner, mix] }] }),
    (inner: Spec): Spec => ({ is: 'chord', parts: [inner, mix], body: mix }),
    (inner: Spec): Spec => ({ is: 'chord', parts: [mix], body: inner }),
    (inner: Spec): Spec => ({ is: 'settled', parts: [inner, mix] }),
    (inner: Spec): Spec => ({ is: 'any', parts: [inner] }),
    (inner: Spec): Spec => ({ is: 'atLeast', parts: [inner] }),
    (inner: Spec): Spec => ({ is: 'chain', parts: [{ is: 'node', does: 'stop' }, inner] }),
    (inner: Spec): Spec => ({ is: 'record', parts: { a: inner, b: mix } }),
    (inner: Spec): Spec => ({ is: 'map', part: inner, inputs: ['p'] }),
    (inner: Spec): Spec => ({ is: 'map', part: inner }),
    (inner: Spec): Spec => ({ is: 'when', kinds: ['a', 'b'], yes: inner, no: inner }),
    (inner: Spec): Spec => ({ is: 'whenStep', test: { is: 'node', does: 'ask' }, yes: inner }),
    (inner: Spec): Spec => ({ is: 'fallback', part: inner, other: mix }),
    (inner: Spec): Spec => ({ is: 'fallback', part: { is: 'node', does: 'fail' }, other: inner }),
    (inner: Spec): Spec => ({ is: 'flat', part: { is: 'group', parts: [inner] } }),
    (inner: Spec): Spec => ({ is: 'linked', part: inner, callbacks: [{ on: 'finally', spec: mix }] }),
    (inner: Spec): Spec => ({ is: 'become', other: inner }),
    (inner: Spec): Spec => ({ is: 'sleep', part: inner, ms: 5, isFirst: true }),
    (inner: Spec): Spec => ({ is: 'chain', parts: [{ is: 'wait', signal: 'decided' }, inner] }),
    (inner: Spec): Spec => ({
      is: 'loop',
      part: { is: 'chain', parts: [inner, { is: 'node', does: 'spend' }] },
      max: 2,
      until: { kinds: ['a'] },
      budget: 3,
    }),
  ].map((wrap) => fc.constant(wrap)),
);

const wrapped = (core: fc.Arbitrary<Spec>, minLength: number, maxLength: number): fc.Arbitrary<Spec> =>
  fc
    .tuple(core, fc.array(wrapper, { minLength, maxLength }))
    .map(([inner, wrappers]) => wrappers.reduce((to, wrap) => wrap(to), inner));

const wide = fc
  .tuple(fc.constantFrom(101, 101, 130, 250, 1000), fc.oneof(safe, safe, does('picky')))
  .map(([width, part]): Spec => ({ is: 'wide', width, part }));

/** Some at least eight levels deep, some with a group of more members than are added at once. */
export const specs: fc.Arbitrary<Spec> = fc.oneof(
  { arbitrary: composition, weight: 40 },
  { arbitrary: wrapped(leaf, 8, 11), weight: 6 },
  { arbitrary: wrapped(wide, 0, 3), weight: 1 },
);

/**
 * What compositions mean, without jobs and time. Some have several outcomes: which member of `group.any` is first, and
 * whose failure is told. So an expression with an input has a list of worlds, of which a run must be one.
 */
import type {
  CanvasExpression,
  GroupExpression,
  LoopExpression,
  WaitForExpression,
  WhenExpression,
} from '@umbel/canvas';
import { effectOf, FAILURE, type NodeInput, SIGNALLED, workedOn } from './node-task.js';

type End =
  | { readonly kind: 'gives'; readonly value: unknown }
  /** The chain that the step stands in is to end with this value. */
  | { readonly kind: 'stops'; readonly value: unknown }
  /** With one of these messages. */
  | { readonly kind: 'fails'; readonly with: readonly string[] };

/** A node that runs with a value. */
export interface Run {
  readonly n: number;
  readonly value: unknown;
  /** It may run, or not. */
  readonly isUnsure?: true;
}

export interface World {
  readonly end: End;
  readonly runs: readonly Run[];
  /** Nodes that do not run since their chain has ended early, or nobody needs them. */
  readonly skipped: readonly number[];
  /** Nodes that do not run since one that they need has failed. */
  readonly blocked: readonly number[];
  /** What nodes have added to the group that they are in. */
  readonly added: readonly { readonly n: number; readonly value: unknown }[];
}

/** The compositions that belong to nodes. */
export type Belongings = ReadonlyMap<number, CanvasExpression>;

/** More worlds than this are not looked at. */
const MAX_WORLDS = 300;

export class TooManyWorlds extends Error {}

/** Members are added in slices beyond this; a failure may come before the last slice. */
const SLICE = 100;

export class Interpreter {
  readonly #belongings: Belongings;

  constructor(belongings: Belongings) {
    this.#belongings = belongings;
  }

  /** The worlds of a whole run. */
  run(expression: CanvasExpression, input: unknown): World[] {
    return this.#eval(expression, input, false);
  }

  /** `isFollowed`: it is a step of a chain before the last one, or stands in the place of one. */
  #eval(expression: CanvasExpression, input: unknown, isFollowed: boolean): World[] {
    const worlds = this.#plain(expression, input, isFollowed);
    const { callbacks } = expression;
    if (callbacks === undefined) return worlds;
    const { success = [], failure = [], always = [] } = callbacks;
    return worlds.flatMap((world) => {
      const { end } = world;
      const sent =
        end.kind === 'fails'
          ? [...calls(failure, FAILURE), ...calls(always, { ok: false, error: FAILURE })]
          : [...calls(success, end.value), ...calls(always, { ok: true, value: end.value })];
      const results = together(sent.map(({ callback, value }) => this.run(callback, value)));
      return results.map((after) => joined([world, ...after], end));
    });
  }

  #plain(expression: CanvasExpression, input: unknown, isFollowed: boolean): World[] {
    switch (expression.kind) {
      case 'task': {
        const bound = expression.input as NodeInput; // every task here is the one of `node-task.ts`
        if (expression.immutable) return this.#node(bound, workedOn(bound), isFollowed);
        const open = expression.into === undefined ? (input as object) : { [expression.into]: input };
        return this.#node(bound, workedOn({ ...open, ...bound }), isFollowed);
      }
      case 'chain':
      case 'chord':
        return this.#chain(stepsOf(expression), input, isFollowed);
      case 'group':
        return this.#group(
          (expression.members as readonly CanvasExpression[]).map((member) => ({ member, input })), // none is read lazily here
          expression,
        );
      case 'map': {
        const { step, keys, chunkSize } = expression;
        const list = expression.inputs ?? input;
        if (!Array.isArray(list)) return [failing('runs over a list', nodesIn(step))];
        const items = keys === undefined ? list : list.map((row) => zipped(keys, row));
        if (chunkSize === undefined) return this.#group(items.map((item) => ({ member: step, input: item })));
        return this.#chunks(step, items, chunkSize);
      }
      case 'match': {
        const name = isObject(input) ? input[expression.key] : undefined;
        const chosen = expression.cases[String(name)];
        if (chosen !== undefined) return this.#eval(chosen, input, isFollowed);
        return [failing('expected one of', Object.values(expression.cases).flatMap(nodesIn))];
      }
      case 'when':
        return this.#when(expression, input, isFollowed);
      case 'fallback': {
        const { step, other } = expression;
        return this.#eval(step, input, isFollowed).flatMap((first) =>
          first.end.kind === 'fails'
            ? this.#eval(other, FAILURE, isFollowed).map((second) => joined([first, second], second.end))
            : [first],
        );
      }
      case 'loop':
        return this.#loop(expression, input, { turn: 1, spent: 0 });
      case 'sleep':
        return [{ ...NOTHING, end: { kind: 'gives', value: input } }];
      case 'flat':
        return this.#eval(expression.step, input, isFollowed).map((world) => {
          if (world.end.kind !== 'gives') return world;
          const { value } = world.end;
          return Array.isArray(value)
            ? { ...world, end: { kind: 'gives', value: value.flat() } }
            : joined([world], { kind: 'fails', with: ['expected a list of lists'] });
        });
      case 'waitFor':
        return endsOfWait(expression, input).map((end) => ({ ...NOTHING, end }));
    }
  }

  #node(input: NodeInput, value: unknown, isFollowed: boolean): World[] {
    const { n } = input;
    const effect = effectOf(input, value);
    const world = { ...NOTHING, runs: [{ n, value }] };
    switch (effect.kind) {
      case 'gives':
        return [{ ...world, end: effect }];
      case 'stops':
        return [{ ...world, end: isFollowed ? effect : { kind: 'gives', value: effect.value } }];
      case 'fails':
        return [{ ...world, end: { kind: 'fails', with: [`node ${n} fails`] } }];
      case 'becomes':
        return this.#eval(this.#of(n), value, isFollowed).map((other) => joined([world, other], other.end));
      case 'adds':
        return [{ ...world, end: { kind: 'gives', value: effect.value }, added: [{ n, value }] }];
    }
  }

  /** A chain of one step is that step. */
  #chain(steps: readonly CanvasExpression[], input: unknown, isFollowed: boolean): World[] {
    const [first, ...rest] = steps;
    if (first === undefined) throw new RangeError('a chain without steps');
    if (rest.length === 0) return this.#eval(first, input, isFollowed);
    return this.#eval(first, input, true).flatMap((world) => {
      const { end } = world;
      if (end.kind === 'fails') return [joined([world, ...rest.map((step) => this.#blocked(step))], end)];
      if (end.kind === 'stops') {
        const skipped = [...world.skipped, ...rest.flatMap(nodesIn)];
        return [{ ...world, end: { kind: 'gives', value: end.value }, skipped }];
      }
      return this.#chain(rest, end.value, isFollowed).map((next) => joined([world, next], next.end));
    });
  }

  /** A step before has failed: what is known of this one fails too, and tells that. */
  #blocked(expression: CanvasExpression): World {
    const { failure = [], always = [] } = expression.callbacks ?? {};
    const sent = [...calls(failure, FAILURE), ...calls(always, { ok: false, error: FAILURE })];
    const told = sent.flatMap(({ callback, value }) => this.run(callback, value).slice(0, 1));
    const known =
      expression.kind === 'fallback'
        ? [expression.step]
        : STEPS.has(expression.kind)
          ? partsOf(expression)
          : [];
    const inner = known.map((part) => this.#blocked(part));
    return joined([{ ...NOTHING, blocked: nodesIn(expression) }, ...told, ...inner], NOTHING.end);
  }

  #group(
    calls: readonly { readonly member: CanvasExpression; readonly input: unknown }[],
    { keys, policy, cancelSiblings }: GroupKind = {},
  ): World[] {
    const declared = together(calls.map(({ member, input }) => this.run(member, input)));
    const grown = declared.flatMap((members) => {
      const added = members.flatMap((world) => world.added);
      const more = together(added.map(({ n, value }) => this.run(this.#of(n), value)));
      return more.map((others) => [...members.map((world) => ({ ...world, added: [] })), ...others]);
    });
    const worlds = grown.flatMap((members) =>
      joins(members, policy).map((end) => {
        const isCut = cancelSiblings === true && (policy !== undefined || end.kind === 'fails');
        const isSliced = members.length > SLICE && end.kind === 'fails';
        return joined(isCut || isSliced ? members.map((world) => cut(world, calls)) : members, end);
      }),
    );
    return keys === undefined ? worlds : worlds.map((world) => keyed(world, keys));
  }

  /** Each chunk runs its items in turn, up to the first that fails. */
  #chunks(step: CanvasExpression, items: readonly unknown[], size: number): World[] {
    const chunks = Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
      items.slice(index * size, (index + 1) * size),
    );
    const worlds = chunks.map((chunk) => {
      const runs: World[] = [];
      for (const item of chunk) {
        const [world] = this.run(step, item);
        if (world === undefined) break;
        runs.push(world);
        if (world.end.kind === 'fails') return joined(runs, world.end);
      }
      return joined(runs, { kind: 'gives', value: runs.map(valueIn) });
    });
    return joins(worlds).map((end) =>
      joined(worlds, end.kind === 'gives' ? { ...end, value: (end.value as unknown[][]).flat() } : end),
    );
  }

  #when({ test, onTrue, onFalse }: WhenExpression, input: unknown, isFollowed: boolean): World[] {
    const branch = (isTrue: boolean, before: World): World[] => {
      const chosen = isTrue ? onTrue : onFalse;
      if (chosen === undefined) return [joined([before], { kind: 'gives', value: input })];
      return this.#eval(chosen, input, isFollowed).map((world) => joined([before, world], world.end));
    };
    if ('condition' in test) return branch(fulfils(input, test.condition), NOTHING);
    const branches = [onTrue, ...(onFalse === undefined ? [] : [onFalse])].flatMap(nodesIn);
    return this.#eval(test.step, input, isFollowed).flatMap((world) => {
      if (world.end.kind === 'stops') return [{ ...world, skipped: [...world.skipped, ...branches] }];
      if (world.end.kind === 'fails') return [{ ...world, blocked: [...world.blocked, ...branches] }];
      const { value } = world.end;
      if (typeof value === 'boolean') return branch(value, world);
      return [joined([world, failing('must return true or false', branches)], FAILS_BY_TEST)];
    });
  }

  /** Turns after a failed or the last one do not exist, so nothing of them is skipped or blocked. */
  #loop(loop: LoopExpression, input: unknown, { turn, spent }: { turn: number; spent: number }): World[] {
    const { body, until, max, budget } = loop;
    return this.run(body, input).flatMap((world) => {
      if (world.end.kind === 'fails') return [world];
      const { value } = world.end;
      const decided: readonly (readonly [World, boolean | undefined])[] =
        'condition' in until
          ? [[NOTHING, fulfils(value, until.condition)]]
          : this.run(until.step, value).map((test) => [
              test,
              test.end.kind !== 'fails' && typeof test.end.value === 'boolean' ? test.end.value : undefined,
            ]);
      return decided.flatMap(([test, isDone]) => {
        const before = joined([world, test], test.end);
        if (test.end.kind === 'fails') return [before];
        if (isDone === undefined)
          return [joined([before, failing('must return true or false', [])], FAILS_BY_TEST)];
        const cost = budget === undefined ? 0 : isObject(value) ? value[budget.key] : undefined;
        if (typeof cost !== 'number')
          return [joined([before], { kind: 'fails', with: ['expected the number that the turn adds'] })];
        const isSpent = budget !== undefined && spent + cost >= budget.max;
        if (isDone || turn === max || isSpent) {
          const stopped = isDone ? 'done' : turn === max ? 'max' : 'budget';
          return [joined([before], { kind: 'gives', value: { value, stopped } })];
        }
        const after = { turn: turn + 1, spent: spent + cost };
        return this.#loop(loop, value, after).map((next) => joined([before, next], next.end));
      });
    });
  }

  #of(n: number): CanvasExpression {
    const own = this.#belongings.get(n);
    if (own === undefined) throw new RangeError(`nothing belongs to node ${n}`);
    return own;
  }
}

type Callback = NonNullable<NonNullable<CanvasExpression['callbacks']>['success']>[number];

type GroupKind = Pick<GroupExpression, 'keys' | 'policy' | 'cancelSiblings'>;

const FAILS_BY_TEST: End = { kind: 'fails', with: ['must return true or false'] };

/** Parts of these are known before anything has run; those of others are added once the step before has given its result. */
const STEPS: ReadonlySet<string> = new Set(['chain', 'chord', 'flat']);

const NOTHING: World = {
  end: { kind: 'gives', value: null },
  runs: [],
  skipped: [],
  blocked: [],
  added: [],
};

/** How a group can end whose members end so. */
function joins(members: readonly World[], policy?: GroupExpression['policy']): End[] {
  if (policy?.kind === 'settled') return [{ kind: 'gives', value: members.map(outcomeIn) }];
  const good = members.filter(({ end }) => end.kind !== 'fails').map(valueIn);
  const messages = members.flatMap(({ end }) => (end.kind === 'fails' ? end.with : []));
  const failed: End = { kind: 'fails', with: messages };
  if (policy === undefined) return [messages.length > 0 ? failed : { kind: 'gives', value: good }];
  const need = policy.kind === 'any' ? 1 : policy.count;
  if (good.length < need) return [failed];
  if (policy.kind === 'any') return good.map((value) => ({ kind: 'gives', value }));
  return subsets(good)
    .filter((some) => some.length >= need)
    .map((value) => ({ kind: 'gives', value }));
}

function subsets(values: readonly unknown[]): unknown[][] {
  if (values.length > 8) throw new TooManyWorlds();
  let all: unknown[][] = [[]];
  for (const value of values) all = all.concat(all.map((some) => [...some, value]));
  return all;
}

/** Every choice of one world from each list. */
function together(lists: readonly (readonly World[])[]): World[][] {
  let all: World[][] = [[]];
  for (const worlds of lists) {
    const [only] = worlds;
    if (worlds.length === 1 && only !== undefined) for (const some of all) some.push(only);
    else all = all.flatMap((some) => worlds.map((world) => [...some, world]));
    if (all.length > MAX_WORLDS) throw new TooManyWorlds();
  }
  return all;
}

function joined(worlds: readonly World[], end: End): World {
  return {
    end,
    runs: worlds.flatMap(({ runs }) => runs),
    skipped: worlds.flatMap(({ skipped }) => skipped),
    blocked: worlds.flatMap(({ blocked }) => blocked),
    added: worlds.flatMap(({ added }) => added),
  };
}

/** A member that may have been kept from starting, at any of its steps. */
function cut(world: World, calls: readonly { readonly member: CanvasExpression }[]): World {
  const runs = world.runs.map((run) => ({ ...run, isUnsure: true as const }));
  return { ...world, runs, skipped: [...world.skipped, ...calls.flatMap(({ member }) => nodesIn(member))] };
}

function failing(message: string, blocked: readonly number[]): World {
  return { ...NOTHING, end: { kind: 'fails', with: [message] }, blocked };
}

function keyed(world: World, keys: readonly string[]): World {
  if (world.end.kind !== 'gives') return world;
  const values = world.end.value as unknown[];
  return {
    ...world,
    end: { kind: 'gives', value: Object.fromEntries(keys.map((key, index) => [key, values[index]])) },
  };
}

function valueIn({ end }: World): unknown {
  return end.kind === 'fails' ? undefined : end.value;
}

function outcomeIn({ end }: World): unknown {
  return end.kind === 'fails' ? { ok: false, error: FAILURE } : { ok: true, value: end.value };
}

function calls(callbacks: readonly Callback[], value: unknown) {
  return callbacks.map((callback) => ({ callback: callback as CanvasExpression, value })); // signatures hold no others
}

/** The steps of a chain, with those of chains and chords among them in their places. */
function stepsOf(expression: CanvasExpression): CanvasExpression[] {
  const parts =
    expression.kind === 'chain'
      ? expression.steps
      : expression.kind === 'chord'
        ? [expression.header, expression.body]
        : undefined;
  if (parts === undefined) return [expression];
  return parts.flatMap((part) => (part.callbacks === undefined ? stepsOf(part) : [part]));
}

function zipped(keys: readonly string[], row: unknown): unknown {
  return Object.fromEntries(keys.map((key, index) => [key, (row as unknown[])[index]]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Of the comparisons there are, those that random compositions use. */
function fulfils(value: unknown, condition: Readonly<Record<string, unknown>>): boolean {
  if (!isObject(value)) return false;
  return Object.entries(condition).every(([key, wanted]) => {
    if (!isObject(wanted)) return value[key] === wanted;
    return (wanted.in as unknown[]).includes(value[key]);
  });
}

/** A wait that is longer than this ends with its signal. */
const LONG_MS = 60_000;

/** How a wait can end: somebody sends each signal, unless it is a silent one. */
function endsOfWait(wait: WaitForExpression, input: unknown): End[] {
  const late = afterTimeout(wait, input);
  if (wait.signal === 'silent' || (wait.into !== undefined && !isObject(input))) return [late];
  const { into } = wait;
  const value = into === undefined ? SIGNALLED : { ...(input as object), [into]: SIGNALLED };
  const signalled: End = { kind: 'gives', value };
  return wait.timeout === 'never' || wait.timeout > LONG_MS ? [signalled] : [signalled, late];
}

/** How a wait ends without a signal. */
function afterTimeout({ onTimeout, into }: WaitForExpression, input: unknown): End {
  if (onTimeout === undefined) return { kind: 'fails', with: ['was not sent within'] };
  if (into === undefined) return { kind: 'gives', value: onTimeout.value };
  return isObject(input)
    ? { kind: 'gives', value: { ...input, [into]: onTimeout.value } }
    : { kind: 'fails', with: ['adds a key to the previous value'] };
}

/** The nodes of an expression. */
function nodesIn(expression: CanvasExpression): number[] {
  const { n } = expression.kind === 'task' ? (expression.input as NodeInput) : { n: undefined };
  return [...(n === undefined ? [] : [n]), ...partsOf(expression).flatMap(nodesIn)];
}

function partsOf(expression: CanvasExpression): readonly CanvasExpression[] {
  switch (expression.kind) {
    case 'task':
    case 'sleep':
    case 'waitFor':
      return [];
    case 'chain':
    case 'chord':
      return stepsOf(expression);
    case 'group':
      return expression.members as CanvasExpression[]; // none is read lazily here
    case 'match':
      return Object.values(expression.cases);
    case 'when': {
      const { test, onTrue, onFalse } = expression;
      return [...('step' in test ? [test.step] : []), onTrue, ...(onFalse === undefined ? [] : [onFalse])];
    }
    case 'loop':
      return 'step' in expression.until ? [expression.body, expression.until.step] : [expression.body];
    case 'fallback':
      return [expression.step, expression.other];
    case 'map':
    case 'flat':
      return [expression.step];
  }
}

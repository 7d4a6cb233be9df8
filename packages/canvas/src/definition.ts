/** This module reads workflows from untrusted JSON: `fromJSON` checks every field, and refuses unknown ones. */
import { type App, InvalidOptionError, type Signature } from '@umbel/core';
import {
  checkInteger,
  checkText,
  coreOf,
  isName,
  isPlainObject,
  isSignalKey,
  jsonIssues,
  kindOf,
  MAX_DISPLAY_NAME,
  readOptions,
  TaskSignature,
} from '@umbel/core/internal';
import { checkCondition } from './branch.js';
import { checkCount } from './chain-group.js';
import { Composition } from './composition.js';
import type { CallbackExpressions, CanvasExpression, JoinPolicy, WhenExpression } from './expression.js';
import { CanvasError } from './part.js';

/** Maximum number of characters of a path or a value in a message. */
const SHOWN_CHARACTERS = 200;

/** A value in untrusted data, with its path and the number of expressions above it. */
class JsonPath {
  constructor(
    readonly value: unknown,
    readonly path = '',
    readonly depth = 0,
  ) {}

  get isAbsent(): boolean {
    return this.value === undefined;
  }

  /** Returns the fields of an object, absent ones included. @throws {CanvasError} if it has others, or is no object. */
  fields<Name extends string>(names: readonly Name[]): Record<Name, JsonPath> {
    const record = this.record();
    const known: ReadonlySet<string> = new Set(names);
    for (const name of Object.keys(record)) {
      if (!known.has(name)) throw this.#at(name).wrong('absent (unknown field)');
    }
    return Object.fromEntries(names.map((name) => [name, this.#at(name)])) as Record<Name, JsonPath>;
  }

  /** Returns all fields of an object. */
  entries(): [name: string, place: JsonPath][] {
    return Object.keys(this.record()).map((name) => [name, this.#at(name)]);
  }

  /** Returns the items of a list. */
  items(): JsonPath[] {
    if (!Array.isArray(this.value)) throw this.wrong('a list');
    return Array.from(this.value, (item: unknown, index) => this.#below(item, `[${index}]`));
  }

  text(): string {
    if (typeof this.value !== 'string') throw this.wrong('a string');
    return this.value;
  }

  /** @throws {CanvasError} unless it is this value. */
  exactly<const Value>(expected: Value): Value {
    if (this.value !== expected) throw this.wrong(`${expected} or absent`);
    return expected;
  }

  record(): Record<string, unknown> {
    if (!isPlainObject(this.value)) throw this.wrong('an object');
    return this.value;
  }

  /** Returns this value, one expression deeper. */
  deeper(): JsonPath {
    return new JsonPath(this.value, this.path, this.depth + 1);
  }

  wrong(expected: string): CanvasError {
    const { value } = this;
    return this.error(
      `must be ${expected}, not ${typeof value === 'string' ? `"${shown(value)}"` : kindOf(value)}.`,
    );
  }

  error(message: string): CanvasError {
    return new CanvasError(`${this.path === '' ? 'The data' : shown(this.path)} ${message}`);
  }

  #at(name: string): JsonPath {
    const record = this.record();
    const value = Object.hasOwn(record, name) ? record[name] : undefined;
    return this.#below(value, this.path === '' ? name : `.${name}`);
  }

  #below(value: unknown, name: string): JsonPath {
    return new JsonPath(value, `${this.path}${name}`, this.depth);
  }
}

/** Returns the end of a long text: the end of a path shows where the fault is. */
function shown(text: string): string {
  return text.length > SHOWN_CHARACTERS ? `…${text.slice(-SHOWN_CHARACTERS)}` : text;
}

// Readers of expressions

const MAX_DEPTH = 500;

type Kind = CanvasExpression['kind'];
type OfKind<K extends Kind> = Extract<CanvasExpression, { readonly kind: K }>;

/** Fields of every expression. */
const COMMON = ['kind', 'options', 'callbacks'] as const;
/** Fields of every workflow. */
const COMPOSED = [...COMMON, 'name'] as const;

/** Reads an expression. @throws {CanvasError} with the path of the invalid part. */
function readExpression(data: unknown): CanvasExpression {
  return expression(new JsonPath(data));
}

const READERS: { readonly [K in Kind]: (place: JsonPath) => OfKind<K> } = {
  task: (place) => {
    const fields = place.fields([...COMMON, 'task', 'input', 'into', 'immutable']);
    const { task, input, into, immutable } = fields;
    if (!isName(task.value)) throw task.wrong('the name of a task');
    if (immutable.isAbsent && !input.isAbsent && !isPlainObject(input.value)) {
      throw input.wrong('an object of the keys that are bound, since the call is not immutable');
    }
    return {
      kind: 'task',
      task: task.text(),
      ...optional('input', input, plain),
      ...optional('into', into, (key) => key.text()),
      ...optional('immutable', immutable, (flag) => flag.exactly(true)),
      ...common(fields),
    };
  },

  chain: (place) => {
    const fields = place.fields([...COMPOSED, 'steps']);
    const steps = fields.steps.items().map(expression);
    if (steps.length === 0) throw fields.steps.wrong('a list of at least one step');
    return { kind: 'chain', steps, ...composed(fields) };
  },

  group: (place) => {
    const fields = place.fields([...COMPOSED, 'members', 'keys', 'policy', 'cancelSiblings']);
    const members = fields.members.items().map(expression);
    const group: OfKind<'group'> = {
      kind: 'group',
      members,
      ...optional('keys', fields.keys, (keys) => keysOf(keys, members.length)),
      ...optional('policy', fields.policy, policyOf),
      ...optional('cancelSiblings', fields.cancelSiblings, cancelling),
      ...composed(fields),
    };
    within(fields.members, () => checkCount(group.policy, members));
    return group;
  },

  chord: (place) => {
    const fields = place.fields([...COMPOSED, 'header', 'body']);
    const header = expression(fields.header);
    if (header.kind !== 'group') throw fields.header.error(`must be a group, not a ${header.kind}.`);
    return { kind: 'chord', header, body: expression(fields.body), ...composed(fields) };
  },

  map: (place) => {
    const fields = place.fields([...COMPOSED, 'step', 'inputs', 'keys', 'chunkSize']);
    const step = expression(fields.step);
    if (!fields.chunkSize.isAbsent && step.kind !== 'task') {
      throw fields.step.error(`must be a task to be packed in chunks, not a ${step.kind}.`);
    }
    const keys = fields.keys.isAbsent ? undefined : keysOf(fields.keys);
    return {
      kind: 'map',
      step,
      ...optional('inputs', fields.inputs, (inputs) =>
        inputs.items().map((input) => (keys === undefined ? plain(input) : row(input, keys.length))),
      ),
      ...(keys !== undefined && { keys }),
      ...optional('chunkSize', fields.chunkSize, (size) => count(size)),
      ...composed(fields),
    };
  },

  match: (place) => {
    const fields = place.fields([...COMPOSED, 'key', 'cases']);
    const cases = fields.cases.entries().map(([name, step]) => [name, expression(step)] as const);
    if (cases.length === 0) throw fields.cases.wrong('an object of at least one step');
    return { kind: 'match', key: fields.key.text(), cases: Object.fromEntries(cases), ...composed(fields) };
  },

  when: (place) => {
    const fields = place.fields([...COMPOSED, 'test', 'onTrue', 'onFalse']);
    return {
      kind: 'when',
      test: testOf(fields.test),
      onTrue: expression(fields.onTrue),
      ...optional('onFalse', fields.onFalse, expression),
      ...composed(fields),
    };
  },

  fallback: (place) => {
    const fields = place.fields([...COMPOSED, 'step', 'other']);
    return {
      kind: 'fallback',
      step: expression(fields.step),
      other: expression(fields.other),
      ...composed(fields),
    };
  },

  loop: (place) => {
    const fields = place.fields([...COMPOSED, 'body', 'until', 'max', 'everyMs', 'budget']);
    return {
      kind: 'loop',
      body: expression(fields.body),
      until: testOf(fields.until),
      max: count(fields.max),
      ...optional('everyMs', fields.everyMs, (ms) => count(ms, 0)),
      ...optional('budget', fields.budget, budgetOf),
      ...composed(fields),
    };
  },

  sleep: (place) => {
    const fields = place.fields([...COMPOSED, 'ms', 'until']);
    const { ms, until } = fields;
    if (ms.isAbsent === until.isAbsent) throw place.error('must have either `ms` or `until`.');
    const time = ms.isAbsent ? { until: until.text() } : { ms: count(ms, 0) };
    return { kind: 'sleep', ...time, ...composed(fields) };
  },

  flat: (place) => {
    const fields = place.fields([...COMPOSED, 'step']);
    return { kind: 'flat', step: expression(fields.step), ...composed(fields) };
  },

  waitFor: (place) => {
    const fields = place.fields([...COMPOSED, 'signal', 'key', 'timeout', 'onTimeout', 'into']);
    const { signal, timeout } = fields;
    if (!isName(signal.value)) throw signal.wrong('the name of a signal');
    if (fields.timeout.value === 'never' && !fields.onTimeout.isAbsent)
      throw fields.onTimeout.wrong("absent, since the timeout is 'never'");
    return {
      kind: 'waitFor',
      signal: signal.text(),
      ...optional('key', fields.key, waitKeyOf),
      timeout: timeout.value === 'never' ? 'never' : count(timeout),
      ...optional('onTimeout', fields.onTimeout, (onTimeout) => ({
        value: plain(onTimeout.fields(['value']).value),
      })),
      ...optional('into', fields.into, (key) => key.text()),
      ...composed(fields),
    };
  },
};

function expression(place: JsonPath): CanvasExpression {
  if (place.depth > MAX_DEPTH) throw place.error(`is nested deeper than ${MAX_DEPTH} levels.`);
  const { kind } = place.record();
  if (typeof kind !== 'string' || !Object.hasOwn(READERS, kind)) {
    const known = Object.keys(READERS).join(', ');
    throw place.error(`has an unknown \`kind\` (known: ${known}).`);
  }
  return READERS[kind as Kind](place.deeper());
}

function common(fields: Record<(typeof COMMON)[number], JsonPath>): Pick<CanvasExpression, 'options'> & {
  readonly callbacks?: CallbackExpressions;
} {
  return {
    ...optional('options', fields.options, (options) => within(options, () => readOptions(options.value))),
    ...optional('callbacks', fields.callbacks, callbacksOf),
  };
}

function composed(fields: Record<(typeof COMPOSED)[number], JsonPath>) {
  return {
    ...optional('name', fields.name, (name) =>
      within(name, () => checkText('name', name.value as string, MAX_DISPLAY_NAME)),
    ),
    ...common(fields),
  };
}

function callbacksOf(place: JsonPath): CallbackExpressions {
  const { success, failure, always } = place.fields(['success', 'failure', 'always']);
  const all = (callbacks: JsonPath) => callbacks.items().map(expression);
  return {
    ...optional('success', success, all),
    ...optional('failure', failure, all),
    ...optional('always', always, all),
  };
}

function policyOf(place: JsonPath): JoinPolicy {
  const { kind, count: needed } = place.fields(['kind', 'count']);
  if (kind.value === 'atLeast') return { kind: 'atLeast', count: count(needed) };
  if (kind.value !== 'settled' && kind.value !== 'any') throw kind.wrong("'settled', 'any' or 'atLeast'");
  if (!needed.isAbsent) throw needed.wrong('absent');
  return { kind: kind.value };
}

function testOf(place: JsonPath): WhenExpression['test'] {
  const { step, condition } = place.fields(['step', 'condition']);
  if (step.isAbsent === condition.isAbsent) throw place.error('must have either a step or a condition.');
  return step.isAbsent
    ? { condition: checkCondition(condition.value, condition.path) }
    : { step: expression(step) };
}

function budgetOf(place: JsonPath): NonNullable<OfKind<'loop'>['budget']> {
  const { key, max } = place.fields(['key', 'max']);
  if (typeof max.value !== 'number' || !(max.value > 0)) throw max.wrong('a number greater than 0');
  return { key: key.text(), max: max.value };
}

/** Returns the key of a wait: text, or the key of the previous result that holds it. */
function waitKeyOf(place: JsonPath): { readonly from: string } | { readonly text: string } {
  const { from, text } = place.fields(['from', 'text']);
  if (from.isAbsent === text.isAbsent) throw place.error('must have either `from` or `text`.');
  if (text.isAbsent) return { from: from.text() };
  if (!isSignalKey(text.value)) throw text.wrong('text of 1 to 500 characters');
  return { text: text.value };
}

/** Returns a list of different texts, for a group as many as it has members. */
function keysOf(place: JsonPath, length?: number): readonly string[] {
  const keys = place.items().map((key) => key.text());
  if (new Set(keys).size !== keys.length) throw place.error('must not hold the same key twice.');
  if (length !== undefined && keys.length !== length)
    throw place.error(`must have ${length} keys, one for each member.`);
  return keys;
}

function row(place: JsonPath, length: number): unknown {
  if (place.items().length !== length) throw place.error(`must have ${length} values, one for each key.`);
  return plain(place);
}

function count(place: JsonPath, least = 1): number {
  return within(place, () => checkInteger('it', place.value as number, least, Number.MAX_SAFE_INTEGER)); // what checks it
}

/** Returns a value that JSON carries. */
function plain(place: JsonPath): unknown {
  const [issue] = jsonIssues(place.value, place.path);
  if (issue !== undefined) throw new CanvasError(`${issue.path}: ${issue.message}`);
  return place.value;
}

function optional<Key extends string, T>(
  key: Key,
  place: JsonPath,
  read: (place: JsonPath) => T,
): { readonly [K in Key]?: T } {
  return (place.isAbsent ? {} : { [key]: read(place) }) as { readonly [K in Key]?: T }; // of the one key
}

function cancelling(place: JsonPath): true | 'running' {
  const { value } = place;
  if (value !== true && value !== 'running') throw place.wrong("true, 'running' or absent");
  return value;
}

/** Returns the result of `read`, and adds the path to its errors. */
function within<T>(place: JsonPath, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InvalidOptionError || error instanceof CanvasError)) throw error;
    throw place.error(`cannot be used: ${error.message}`);
  }
}

/**
 * Returns the signature that was stored with `toJSON`, bound to the app. Its types are unknown; `delay` checks the inputs
 * of the tasks that the app knows. The data may be untrusted.
 * @throws {CanvasError} with the path (`steps[2].members[0].task`) of invalid data, or if it nests deeper than 500 levels.
 * @throws {InvalidOptionError} if `app` is not an app.
 *
 * @example
 * const stored = JSON.stringify(chain(resize, upload));
 * const restored = fromJSON(app, JSON.parse(stored));
 */
export function fromJSON(app: App<never>, data: unknown): Signature<string, unknown, unknown>;
export function fromJSON(app: App<never>, data: unknown): unknown {
  const expression = readExpression(data);
  const sender = coreOf(app);
  return expression.kind === 'task'
    ? new TaskSignature(expression, sender)
    : new Composition(expression, sender);
}

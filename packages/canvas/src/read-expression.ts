/** Reads expressions from data that may come from anywhere: every field is checked, and unknown ones are refused. */
import { InvalidOptionError } from '@umbel/core';
import { checkInteger, isName, isPlainObject, jsonIssues, readOptions } from '@umbel/core/internal';
import { checkCondition } from './condition.js';
import { CanvasError } from './errors.js';
import type { CallbackExpressions, CanvasExpression, JoinPolicy, WhenExpression } from './expression.js';
import { checkCount } from './members.js';
import { Place } from './place.js';

const MAX_DEPTH = 500;

type Kind = CanvasExpression['kind'];
type OfKind<K extends Kind> = Extract<CanvasExpression, { readonly kind: K }>;

/** Fields of every expression. */
const COMMON = ['kind', 'options', 'callbacks'] as const;

/** @throws {CanvasError} naming the place of what is in no expression. */
export function readExpression(data: unknown): CanvasExpression {
  return expression(new Place(data));
}

const READERS: { readonly [K in Kind]: (place: Place) => OfKind<K> } = {
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
    const fields = place.fields([...COMMON, 'steps']);
    const steps = fields.steps.items().map(expression);
    if (steps.length === 0) throw fields.steps.wrong('a list of at least one step');
    return { kind: 'chain', steps, ...common(fields) };
  },

  group: (place) => {
    const fields = place.fields([...COMMON, 'members', 'keys', 'policy', 'cancelSiblings']);
    const members = fields.members.items().map(expression);
    const group: OfKind<'group'> = {
      kind: 'group',
      members,
      ...optional('keys', fields.keys, (keys) => keysOf(keys, members.length)),
      ...optional('policy', fields.policy, policyOf),
      ...optional('cancelSiblings', fields.cancelSiblings, cancelling),
      ...common(fields),
    };
    within(fields.members, () => checkCount(group.policy, members));
    return group;
  },

  chord: (place) => {
    const fields = place.fields([...COMMON, 'header', 'body']);
    const header = expression(fields.header);
    if (header.kind !== 'group') throw fields.header.error(`must be a group, not a ${header.kind}.`);
    return { kind: 'chord', header, body: expression(fields.body), ...common(fields) };
  },

  map: (place) => {
    const fields = place.fields([...COMMON, 'step', 'inputs', 'keys', 'chunkSize']);
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
      ...common(fields),
    };
  },

  match: (place) => {
    const fields = place.fields([...COMMON, 'key', 'cases']);
    const cases = fields.cases.entries().map(([name, step]) => [name, expression(step)] as const);
    if (cases.length === 0) throw fields.cases.wrong('an object of at least one step');
    return { kind: 'match', key: fields.key.text(), cases: Object.fromEntries(cases), ...common(fields) };
  },

  when: (place) => {
    const fields = place.fields([...COMMON, 'test', 'onTrue', 'onFalse']);
    return {
      kind: 'when',
      test: testOf(fields.test),
      onTrue: expression(fields.onTrue),
      ...optional('onFalse', fields.onFalse, expression),
      ...common(fields),
    };
  },

  fallback: (place) => {
    const fields = place.fields([...COMMON, 'step', 'other']);
    return {
      kind: 'fallback',
      step: expression(fields.step),
      other: expression(fields.other),
      ...common(fields),
    };
  },

  flat: (place) => {
    const fields = place.fields([...COMMON, 'step']);
    return { kind: 'flat', step: expression(fields.step), ...common(fields) };
  },
};

function expression(place: Place): CanvasExpression {
  if (place.depth > MAX_DEPTH) throw place.error(`is nested deeper than ${MAX_DEPTH} levels.`);
  const { kind } = place.record();
  if (typeof kind !== 'string' || !Object.hasOwn(READERS, kind)) {
    const known = Object.keys(READERS).join(', ');
    throw place.error(`has no kind of expression as its \`kind\`; there are ${known}.`);
  }
  return READERS[kind as Kind](place.deeper());
}

function common(fields: Record<(typeof COMMON)[number], Place>): Pick<CanvasExpression, 'options'> & {
  readonly callbacks?: CallbackExpressions;
} {
  return {
    ...optional('options', fields.options, (options) => within(options, () => readOptions(options.value))),
    ...optional('callbacks', fields.callbacks, callbacksOf),
  };
}

function callbacksOf(place: Place): CallbackExpressions {
  const { success, failure, always } = place.fields(['success', 'failure', 'always']);
  const all = (callbacks: Place) => callbacks.items().map(expression);
  return {
    ...optional('success', success, all),
    ...optional('failure', failure, all),
    ...optional('always', always, all),
  };
}

function policyOf(place: Place): JoinPolicy {
  const { kind, count: needed } = place.fields(['kind', 'count']);
  if (kind.value === 'atLeast') return { kind: 'atLeast', count: count(needed) };
  if (kind.value !== 'settled' && kind.value !== 'any') throw kind.wrong("'settled', 'any' or 'atLeast'");
  if (!needed.isAbsent) throw needed.wrong('absent');
  return { kind: kind.value };
}

function testOf(place: Place): WhenExpression['test'] {
  const { step, condition } = place.fields(['step', 'condition']);
  if (step.isAbsent === condition.isAbsent) throw place.error('must have either a step or a condition.');
  return step.isAbsent
    ? { condition: checkCondition(condition.value, condition.path) }
    : { step: expression(step) };
}

/** Texts, each once; of a group, as many as it has members. */
function keysOf(place: Place, length?: number): readonly string[] {
  const keys = place.items().map((key) => key.text());
  if (new Set(keys).size !== keys.length) throw place.error('must not hold the same key twice.');
  if (length !== undefined && keys.length !== length)
    throw place.error(`must have ${length} keys, one for each member.`);
  return keys;
}

function row(place: Place, length: number): unknown {
  if (place.items().length !== length) throw place.error(`must have ${length} values, one for each key.`);
  return plain(place);
}

function count(place: Place): number {
  return within(place, () => checkInteger('it', place.value as number, 1, Number.MAX_SAFE_INTEGER)); // what checks it
}

/** A value that JSON carries. */
function plain(place: Place): unknown {
  const [issue] = jsonIssues(place.value, place.path);
  if (issue !== undefined) throw new CanvasError(`${issue.path}: ${issue.message}`);
  return place.value;
}

function optional<Key extends string, T>(
  key: Key,
  place: Place,
  read: (place: Place) => T,
): { readonly [K in Key]?: T } {
  return (place.isAbsent ? {} : { [key]: read(place) }) as { readonly [K in Key]?: T }; // of the one key
}

function cancelling(place: Place): true | 'running' {
  const { value } = place;
  if (value !== true && value !== 'running') throw place.wrong("true or 'running', if it is there");
  return value;
}

/** What `read` gives; what is wrong is told with the place. */
function within<T>(place: Place, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InvalidOptionError || error instanceof CanvasError)) throw error;
    throw place.error(`cannot be used: ${error.message}`);
  }
}

/** Rewrites an expression into the few shapes that the planner knows. Pure; doing it twice changes nothing. */
import { mergeOptions, type NormalizedOptions, type TaskExpression } from '@umbel/core/internal';
import type {
  CallbackExpressions,
  CanvasExpression,
  Condition,
  GroupExpression,
  JoinPolicy,
  LazyMembers,
  MapExpression,
} from './expression.js';

/** What is left, with options on tasks only. */
export type NormalExpression =
  | NormalTask
  | NormalChain
  | NormalGroup
  | NormalEach
  | NormalMatch
  | NormalWhen
  | NormalFallback
  | NormalFlat
  | NormalLinked;

/** A call, with its options and, apart from them, those of the compositions that it is in. */
export type NormalTask = Omit<TaskExpression, 'callbacks'> & { readonly shared?: NormalizedOptions };

/** At least two steps, none of them a chain. */
export interface NormalChain {
  readonly kind: 'chain';
  readonly steps: readonly NormalExpression[];
}

/** Members of a group: steps, steps with an input of their own, or several inputs of one task. */
export type NormalMember = NormalExpression | GivenStep | ChunkCall;

export interface NormalGroup {
  readonly kind: 'group';
  readonly members: readonly NormalMember[] | { readonly read: () => AsyncIterable<NormalMember> };
  readonly keys?: readonly string[];
  readonly policy?: JoinPolicy;
  readonly cancelSiblings?: true | 'running';
  /** Each member gives a list, and so does the group: of what is in those. */
  readonly flat?: true;
}

interface GivenStep {
  readonly kind: 'given';
  readonly step: NormalExpression;
  readonly input: unknown;
}

interface ChunkCall {
  readonly kind: 'chunk';
  readonly task: NormalTask;
  readonly items: readonly unknown[];
  readonly offset: number;
}

/** One step for each item of the previous result. */
export interface NormalEach {
  readonly kind: 'each';
  readonly step: NormalExpression;
  readonly keys?: readonly string[];
  readonly chunkSize?: number;
}

export interface NormalMatch {
  readonly kind: 'match';
  readonly key: string;
  readonly cases: Readonly<Record<string, NormalExpression>>;
}

export interface NormalWhen {
  readonly kind: 'when';
  readonly test: { readonly step: NormalExpression } | { readonly condition: Condition };
  readonly onTrue: NormalExpression;
  readonly onFalse?: NormalExpression;
}

export interface NormalFallback {
  readonly kind: 'fallback';
  readonly step: NormalExpression;
  readonly other: NormalExpression;
}

interface NormalFlat {
  readonly kind: 'flat';
  readonly step: NormalExpression;
}

/** A step with what is sent after it. */
interface NormalLinked {
  readonly kind: 'linked';
  readonly step: NormalExpression;
  readonly callbacks: NormalCallbacks;
}

export type NormalCallbacks = {
  readonly [Kind in keyof CallbackExpressions]: readonly NormalExpression[];
};

/**
 * The expression with
 * - a chain inside a chain spliced in, and a chain of one step replaced by that step,
 * - a chord written as a chain of its header and its body,
 * - a map over inputs written as a group,
 * - options handed down to the tasks, where an inner one wins and tags are united; but a delay only to the tasks that
 *   start the composition, where delays add up.
 */
export function normalize(
  expression: CanvasExpression,
  inherited: NormalizedOptions = {},
  delayMs = 0,
): NormalExpression {
  const { delayMs: ownDelay = 0, ...own } = expression.options ?? {};
  const all = mergeOptions(inherited, own);
  const normal = new Normalizer(all, inherited, delayMs + ownDelay).run(expression);
  const { callbacks } = expression;
  return callbacks === undefined
    ? normal
    : { kind: 'linked', step: normal, callbacks: linked(callbacks, all) };
}

/** The options of a composition that hold for the whole, and for what follows it, and not only for its tasks. */
export type LabelOptions = Pick<NormalizedOptions, 'headers' | 'tags'>;

export function labelsOf({ headers, tags }: NormalizedOptions = {}): LabelOptions {
  return { ...(headers !== undefined && { headers }), ...(tags !== undefined && { tags }) };
}

/** Callbacks share the labels of what they follow, and nothing else of it. */
function linked(
  callbacks: NonNullable<CanvasExpression['callbacks']>,
  options: NormalizedOptions,
): NormalCallbacks {
  const shared = labelsOf(options);
  const entries = Object.entries(callbacks) as [keyof CallbackExpressions, readonly CanvasExpression[]][];
  return Object.fromEntries(
    entries.map(([kind, expressions]) => [kind, expressions.map((each) => normalize(each, shared))]),
  );
}

class Normalizer {
  readonly #options: NormalizedOptions;
  readonly #inherited: NormalizedOptions;
  readonly #delayMs: number;

  constructor(options: NormalizedOptions, inherited: NormalizedOptions, delayMs: number) {
    this.#options = options;
    this.#inherited = inherited;
    this.#delayMs = delayMs;
  }

  run(expression: CanvasExpression): NormalExpression {
    switch (expression.kind) {
      case 'task':
        return this.#task(expression);
      case 'chain':
        return chainOf(
          expression.steps.map((step, index) => (index === 0 ? this.#first(step) : this.#later(step))),
        );
      case 'chord':
        return chainOf([this.#first(expression.header), this.#later(expression.body)]);
      case 'group':
        return this.#group(expression);
      case 'map':
        return this.#map(expression);
      case 'match': {
        const cases = Object.entries(expression.cases).map(([name, step]) => [name, this.#first(step)]);
        return { kind: 'match', key: expression.key, cases: Object.fromEntries(cases) };
      }
      case 'when': {
        const { test, onFalse } = expression;
        const hasStep = 'step' in test;
        const branch = (step: CanvasExpression) => (hasStep ? this.#later(step) : this.#first(step));
        return {
          kind: 'when',
          test: hasStep ? { step: this.#first(test.step) } : test,
          onTrue: branch(expression.onTrue),
          ...(onFalse !== undefined && { onFalse: branch(onFalse) }),
        };
      }
      case 'fallback':
        return { kind: 'fallback', step: this.#first(expression.step), other: this.#later(expression.other) };
      case 'flat':
        return { kind: 'flat', step: this.#first(expression.step) };
    }
  }

  /** A part that starts with the whole. */
  #first(part: CanvasExpression): NormalExpression {
    return normalize(part, this.#options, this.#delayMs);
  }

  /** A part that starts once another has ended. */
  #later(part: CanvasExpression): NormalExpression {
    return normalize(part, this.#options);
  }

  #task(expression: TaskExpression): NormalTask {
    const { options: _options, callbacks: _callbacks, ...call } = expression;
    const all = { ...this.#options, ...(this.#delayMs > 0 && { delayMs: this.#delayMs }) };
    if (Object.keys(all).length === 0) return call;
    const isShared = Object.keys(this.#inherited).length > 0;
    return { ...call, options: all, ...(isShared && { shared: this.#inherited }) };
  }

  #group({ members, keys, policy, cancelSiblings }: GroupExpression): NormalGroup {
    return {
      kind: 'group',
      members:
        'read' in members ? { read: () => this.#read(members) } : members.map((each) => this.#first(each)),
      ...(keys !== undefined && { keys }),
      ...(policy !== undefined && { policy }),
      ...(cancelSiblings && { cancelSiblings }),
    };
  }

  async *#read(members: LazyMembers): AsyncGenerator<NormalMember> {
    for await (const member of members.read()) yield this.#first(member);
  }

  #map({ step, inputs, keys, chunkSize, offset: start = 0 }: MapExpression): NormalExpression {
    const each = this.#first(step);
    if (inputs === undefined) {
      return {
        kind: 'each',
        step: each,
        ...(keys && { keys }),
        ...(chunkSize !== undefined && { chunkSize }),
      };
    }
    const items = keys === undefined ? inputs : inputs.map((row) => zipped(keys, row));
    if (chunkSize === undefined || each.kind !== 'task') {
      return { kind: 'group', members: items.map((input) => ({ kind: 'given', step: each, input })) };
    }
    const chunks: ChunkCall[] = [];
    for (let first = 0; first < items.length; first += chunkSize) {
      const own = items.slice(first, first + chunkSize);
      chunks.push({ kind: 'chunk', task: each, items: own, offset: start + first });
    }
    return { kind: 'group', members: chunks, flat: true };
  }
}

function zipped(keys: readonly string[], row: unknown): unknown {
  return Object.fromEntries(keys.map((key, place) => [key, Array.isArray(row) ? row[place] : undefined]));
}

function chainOf(parts: readonly NormalExpression[]): NormalExpression {
  const steps = parts.flatMap((part) => (part.kind === 'chain' ? part.steps : [part]));
  const [only] = steps;
  return steps.length === 1 && only !== undefined ? only : { kind: 'chain', steps };
}

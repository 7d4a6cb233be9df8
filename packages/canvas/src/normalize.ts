/**
 * This module rewrites a workflow into the few shapes that the planner knows: `normalize` is pure, and moves all options
 * to the tasks.
 */
import { mergeOptions, type NormalizedOptions, type Sleep, type TaskExpression } from '@umbel/core/internal';
import { match } from 'ts-pattern';
import type {
  CallbackExpressions,
  CanvasExpression,
  Condition,
  GroupExpression,
  JoinPolicy,
  LazyMembers,
  LoopExpression,
  MapExpression,
  WaitForExpression,
  WhenExpression,
} from './expression.js';

/** A normalized workflow. Only tasks have options. */
export type NormalExpression =
  | NormalTask
  | NormalChain
  | NormalGroup
  | NormalEach
  | NormalMatch
  | NormalWhen
  | NormalFallback
  | NormalFlat
  | NormalSleep
  | NormalLoop
  | NormalLinked
  | NormalWait;

/** A call with its options. `shared` holds the options of the workflows around it. */
export type NormalTask = Omit<TaskExpression, 'callbacks'> & { readonly shared?: NormalizedOptions };

/** At least two steps, none of them a chain. */
export interface NormalChain {
  readonly kind: 'chain';
  readonly steps: readonly NormalExpression[];
}

/** A member of a group: a step, a step with its own input, or a task with several inputs. */
export type NormalMember = NormalExpression | StepWithInput | ChunkCall;

export interface NormalGroup {
  readonly kind: 'group';
  readonly members: readonly NormalMember[] | { readonly read: () => AsyncIterable<NormalMember> };
  readonly keys?: readonly string[];
  readonly policy?: JoinPolicy;
  readonly cancelSiblings?: true | 'running';
  /** Concatenates the results of the members, which are lists. */
  readonly flat?: true;
}

interface StepWithInput {
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

export interface NormalSleep {
  readonly kind: 'sleep';
  readonly sleep: Sleep;
  /** The delay of a workflow that starts with the sleep. */
  readonly delayMs?: number;
}

export interface NormalLoop extends Pick<LoopExpression, 'max' | 'everyMs' | 'budget'> {
  readonly kind: 'loop';
  readonly body: NormalExpression;
  readonly until: { readonly step: NormalExpression } | { readonly condition: Condition };
  /** The delay of a workflow that starts with the loop. */
  readonly delayMs?: number;
}

/** A wait for a signal, with the options that apply to it. */
export type NormalWait = Omit<WaitForExpression, 'options' | 'callbacks'> & {
  readonly options?: NormalizedOptions;
};

/** A step and its callbacks. */
interface NormalLinked {
  readonly kind: 'linked';
  readonly step: NormalExpression;
  readonly callbacks: NormalCallbacks;
}

export type NormalCallbacks = {
  readonly [Kind in keyof CallbackExpressions]: readonly NormalExpression[];
};

/**
 * Normalizes an expression:
 * - It splices a chain inside a chain, and replaces a chain of one step by that step.
 * - It rewrites a chord as a chain of its header and its body.
 * - It rewrites a map over inputs as a group.
 * - It moves options to the tasks: an inner option wins, tags are merged. A delay goes only to the tasks that start the
 *   workflow, where delays add up.
 */
export function normalize(
  expression: CanvasExpression,
  inherited: NormalizedOptions = {},
  delayMs = 0,
): NormalExpression {
  const { delayMs: addedDelayMs = 0, ...options } = expression.options ?? {};
  const merged = mergeOptions(inherited, options);
  const normal = new Normalizer(merged, inherited, delayMs + addedDelayMs).run(expression);
  const { callbacks } = expression;
  return callbacks === undefined
    ? normal
    : { kind: 'linked', step: normal, callbacks: normalizeCallbacks(callbacks, merged) };
}

/** Options that apply to the run itself and to its callbacks, in addition to the tasks. */
export type LabelOptions = Pick<NormalizedOptions, 'headers' | 'tags'>;

export function labelsOf({ headers, tags }: NormalizedOptions = {}): LabelOptions {
  return { ...(headers !== undefined && { headers }), ...(tags !== undefined && { tags }) };
}

/** Normalizes callbacks. They inherit headers and tags, and no other options. */
function normalizeCallbacks(
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
    if (expression.kind === 'task') return this.#task(expression); // before the match: this runs for each member
    return match(expression)
      .returnType<NormalExpression>()
      .with({ kind: 'group' }, (group) => this.#group(group))
      .with({ kind: 'chain' }, ({ steps }) =>
        chainOf(steps.map((step, index) => (index === 0 ? this.#first(step) : this.#later(step)))),
      )
      .with({ kind: 'chord' }, ({ header, body }) => chainOf([this.#first(header), this.#later(body)]))
      .with({ kind: 'map' }, (map) => this.#map(map))
      .with({ kind: 'match' }, ({ key, cases }) => {
        const entries = Object.entries(cases).map(([name, step]) => [name, this.#first(step)]);
        return { kind: 'match', key, cases: Object.fromEntries(entries) };
      })
      .with({ kind: 'when' }, (when) => this.#when(when))
      .with({ kind: 'fallback' }, ({ step, other }) => ({
        kind: 'fallback',
        step: this.#first(step),
        other: this.#later(other),
      }))
      .with({ kind: 'flat' }, ({ step }) => ({ kind: 'flat', step: this.#first(step) }))
      .with({ kind: 'loop' }, (loop) => this.#loop(loop))
      .with({ kind: 'sleep' }, (sleep) => ({
        kind: 'sleep',
        sleep: 'ms' in sleep ? { ms: sleep.ms } : { until: sleep.until },
        ...(this.#delayMs > 0 && { delayMs: this.#delayMs }),
      }))
      .with({ kind: 'waitFor' }, (wait) => this.#wait(wait))
      .exhaustive();
  }

  /** Normalizes a part that starts with the workflow. */
  #first(part: CanvasExpression): NormalExpression {
    return normalize(part, this.#options, this.#delayMs);
  }

  /** Normalizes a part that starts after another part. It gets no delay. */
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

  /** A wait has no handler, so only labels, the expiry and the delay apply to it. */
  #wait({ options: _options, callbacks: _callbacks, ...wait }: WaitForExpression): NormalWait {
    const { expiresMs, expiresAt } = this.#options;
    const options = {
      ...labelsOf(this.#options),
      ...(expiresMs !== undefined && { expiresMs }),
      ...(expiresAt !== undefined && { expiresAt }),
      ...(this.#delayMs > 0 && { delayMs: this.#delayMs }),
    };
    return Object.keys(options).length === 0 ? wait : { ...wait, options };
  }

  #when({ test, onTrue, onFalse }: WhenExpression): NormalExpression {
    const hasStep = 'step' in test;
    const branch = (step: CanvasExpression) => (hasStep ? this.#later(step) : this.#first(step));
    return {
      kind: 'when',
      test: hasStep ? { step: this.#first(test.step) } : test,
      onTrue: branch(onTrue),
      ...(onFalse !== undefined && { onFalse: branch(onFalse) }),
    };
  }

  /** The delay is that of the loop, not of each turn. */
  #loop({ body, until, max, everyMs, budget }: LoopExpression): NormalLoop {
    return {
      kind: 'loop',
      body: this.#later(body),
      until: 'step' in until ? { step: this.#later(until.step) } : until,
      max,
      ...(everyMs !== undefined && { everyMs }),
      ...(budget !== undefined && { budget }),
      ...(this.#delayMs > 0 && { delayMs: this.#delayMs }),
    };
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
    const items = keys === undefined ? inputs : inputs.map((row) => zipRow(keys, row));
    if (chunkSize === undefined || each.kind !== 'task') {
      return { kind: 'group', members: items.map((input) => ({ kind: 'given', step: each, input })) };
    }
    const chunks: ChunkCall[] = [];
    for (let first = 0; first < items.length; first += chunkSize) {
      const slice = items.slice(first, first + chunkSize);
      chunks.push({ kind: 'chunk', task: each, items: slice, offset: start + first });
    }
    return { kind: 'group', members: chunks, flat: true };
  }
}

function zipRow(keys: readonly string[], row: unknown): unknown {
  return Object.fromEntries(keys.map((key, index) => [key, Array.isArray(row) ? row[index] : undefined]));
}

function chainOf(parts: readonly NormalExpression[]): NormalExpression {
  const steps = parts.flatMap((part) => (part.kind === 'chain' ? part.steps : [part]));
  const [only] = steps;
  return steps.length === 1 && only !== undefined ? only : { kind: 'chain', steps };
}

import type { NormalizedOptions, Sender, TaskExpression } from '@umbel/core/internal';
import { CanvasError } from './part.js';

/** A composition as plain data. Options of a composition hold for every task in it that has none of its own. */
export type CanvasExpression =
  | TaskExpression
  | ChainExpression
  | GroupExpression
  | ChordExpression
  | MapExpression
  | MatchExpression
  | WhenExpression
  | FallbackExpression
  | FlatExpression;

/** What every composition can have. */
interface Composed {
  readonly options?: NormalizedOptions;
  readonly callbacks?: CallbackExpressions;
}

/** What is sent after a node, each once. */
export interface CallbackExpressions {
  /** With the result. */
  readonly success?: readonly CanvasExpression[];
  /** With a `FailureRecord`. */
  readonly failure?: readonly CanvasExpression[];
  /** With a `StepOutcome`, whatever it is. */
  readonly always?: readonly CanvasExpression[];
}

export interface ChainExpression extends Composed {
  readonly kind: 'chain';
  readonly steps: readonly CanvasExpression[];
}

export interface GroupExpression extends Composed {
  readonly kind: 'group';
  readonly members: readonly CanvasExpression[] | LazyMembers;
  /** Of a record: the key of each member. */
  readonly keys?: readonly string[];
  /** Absent: every member has to succeed. */
  readonly policy?: JoinPolicy;
  /** Once the outcome is certain, members that have not started are skipped, and those that run given up, too. */
  readonly cancelSiblings?: true | 'running';
}

/** When a group has its result, and what that is. */
export type JoinPolicy =
  /** When all have ended: a `StepOutcome` of each. */
  | { readonly kind: 'settled' }
  /** When one has succeeded: its result. */
  | { readonly kind: 'any' }
  /** When `count` have succeeded: their results, in declared order. */
  | { readonly kind: 'atLeast'; readonly count: number };

/** Members that are read while they are sent. Not plain data: such a group has no JSON. */
export interface LazyMembers {
  readonly read: () => AsyncIterable<CanvasExpression>;
  /** The app of the first member, which is read for this and then given by the next `read`. */
  readonly sender?: () => Promise<Sender | undefined>;
  /** Lets go of a first member that nothing has read. */
  readonly close?: () => Promise<void>;
}

export interface ChordExpression extends Composed {
  readonly kind: 'chord';
  readonly header: CanvasExpression;
  readonly body: CanvasExpression;
}

/** One step over many inputs. */
export interface MapExpression extends Composed {
  readonly kind: 'map';
  readonly step: CanvasExpression;
  /** Absent: the list that the previous step gives. */
  readonly inputs?: readonly unknown[];
  /** Each input is a row, whose values go under these keys. */
  readonly keys?: readonly string[];
  /** As many inputs as this are packed in one job; the step is a task then. */
  readonly chunkSize?: number;
  /** Of inputs that are read in parts: the index of the first one here. */
  readonly offset?: number;
}

/** The case whose name the previous result has under `key`. */
export interface MatchExpression extends Composed {
  readonly kind: 'match';
  readonly key: string;
  readonly cases: Readonly<Record<string, CanvasExpression>>;
}

export interface WhenExpression extends Composed {
  readonly kind: 'when';
  /** A step that gives true or false, or a condition on the previous result. */
  readonly test: { readonly step: CanvasExpression } | { readonly condition: Condition };
  readonly onTrue: CanvasExpression;
  /** Absent: the previous result goes through. */
  readonly onFalse?: CanvasExpression;
}

/** What values have to be, by key; all of it has to hold. */
export type Condition = Readonly<Record<string, Comparison>>;

/** A value to be equal to, or comparisons that have to hold. */
export type Comparison = string | number | boolean | null | Comparisons;

interface Comparisons {
  readonly eq?: string | number | boolean | null;
  readonly ne?: string | number | boolean | null;
  readonly gt?: number | string;
  readonly gte?: number | string;
  readonly lt?: number | string;
  readonly lte?: number | string;
  readonly in?: readonly (string | number | boolean | null)[];
  readonly exists?: boolean;
}

/** `other` runs with a `FailureRecord` if `step` fails; the result is that of the one that succeeded. */
export interface FallbackExpression extends Composed {
  readonly kind: 'fallback';
  readonly step: CanvasExpression;
  readonly other: CanvasExpression;
}

/** The result of a step, a list of lists, as one list. */
export interface FlatExpression extends Composed {
  readonly kind: 'flat';
  readonly step: CanvasExpression;
}

/** The expressions that one is directly made of, callbacks and members that are read lazily left out. */
export function partsOf(expression: CanvasExpression): readonly CanvasExpression[] {
  switch (expression.kind) {
    case 'task':
      return [];
    case 'chain':
      return expression.steps;
    case 'group':
      return 'read' in expression.members ? [] : expression.members;
    case 'chord':
      return [expression.header, expression.body];
    case 'match':
      return Object.values(expression.cases);
    case 'when': {
      const { test, onTrue, onFalse } = expression;
      const step = 'step' in test ? [test.step] : [];
      return [...step, onTrue, ...(onFalse === undefined ? [] : [onFalse])];
    }
    case 'fallback':
      return [expression.step, expression.other];
    case 'map':
    case 'flat':
      return [expression.step];
  }
}

/** Compositions inside of each other, at most. A chain is not deeper for its steps. */
const MAX_NESTING = 500;

/** How deep the expressions are that are known: a task is 0 deep. */
const depths = new WeakMap<CanvasExpression, number>();

/**
 * Notes how deep an expression is whose parts are noted already; parts that are not count as tasks.
 * @throws {CanvasError} if that is too deep to be planned.
 */
export function checkNesting(expression: CanvasExpression): void {
  let depth = 0;
  for (const part of partsOf(expression))
    if (part.kind !== 'task') depth = Math.max(depth, depths.get(part) ?? 0);
  for (const callbacks of Object.values(expression.callbacks ?? {}))
    for (const callback of callbacks) depth = Math.max(depth, depths.get(callback) ?? 0);
  if (depth >= MAX_NESTING)
    throw new CanvasError(
      `Workflows can be nested at most ${MAX_NESTING} levels deep, and this ${expression.kind} is deeper. ` +
        'Pass the parts as one list: chain.of(steps), group(members).',
    );
  depths.set(expression, depth + 1);
}

import { provideCanvas } from '@umbel/core/internal';
import { pipe } from './chain-group.js';
import { partOf } from './part.js';
import { planExpression } from './submit.js';

export { fallback, flat, match, when } from './branch.js';
export {
  type ChainFunction,
  chain,
  chord,
  type GroupFunction,
  type GroupOptions,
  group,
} from './chain-group.js';
export { fromJSON } from './definition.js';
export type {
  CallbackExpressions,
  CanvasExpression,
  ChainExpression,
  ChordExpression,
  Comparison,
  Condition,
  FallbackExpression,
  FlatExpression,
  GroupExpression,
  JoinPolicy,
  LazyMembers,
  LoopExpression,
  MapExpression,
  MatchExpression,
  SleepExpression,
  WaitForExpression,
  WhenExpression,
} from './expression.js';
export { type LoopOptions, type LoopResult, loop } from './loop.js';
export { chunks, map, starmap } from './map.js';
export { CanvasError } from './part.js';
export { type SleepFunction, sleep } from './sleep.js';
export type { FirstStep, Inputs, Members } from './types/flow.js';
export type { WaitForOptions } from './wait-for.js';
export { waitFor } from './wait-for.js';

// Provides the signatures of `@umbel/core` with the functions of this package once it is imported.

provideCanvas({
  pipe: (first, next) => pipe(partOf(first, 'The step before pipe'), next),
  plan: planExpression,
});

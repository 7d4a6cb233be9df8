import './provide.js';

export { type ChainFunction, chain } from './chain.js';
export { chord } from './chord.js';
export { chunks } from './chunks.js';
export { CanvasError } from './errors.js';
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
  MapExpression,
  MatchExpression,
  WhenExpression,
} from './expression.js';
export { fallback } from './fallback.js';
export { flat } from './flat.js';
export { fromJSON } from './from-json.js';
export { type GroupFunction, type GroupOptions, group } from './group.js';
export { map } from './map.js';
export { match } from './match.js';
export { starmap } from './starmap.js';
export type { FirstStep, Inputs, Members } from './types/flow.js';
export { when } from './when.js';

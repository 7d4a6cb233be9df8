export { type ChainFunction, chain } from './chain.js';
export { chord } from './chord.js';
export { CanvasError } from './errors.js';
export type { CanvasExpression, ChainExpression, ChordExpression, GroupExpression } from './expression.js';
export { group } from './group.js';
export type { FirstStep, Members, StepAfter } from './types/flow.js';

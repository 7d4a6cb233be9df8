import type { NormalizedOptions, TaskExpression } from '@umbel/core/internal';

/** A composition as plain data. Options of a composition hold for every task in it that has none of its own. */
export type CanvasExpression = TaskExpression | ChainExpression | GroupExpression | ChordExpression;

export interface ChainExpression {
  readonly kind: 'chain';
  readonly steps: readonly CanvasExpression[];
  readonly options?: NormalizedOptions;
}

export interface GroupExpression {
  readonly kind: 'group';
  readonly members: readonly CanvasExpression[];
  /** Of a record: the key of each member. */
  readonly keys?: readonly string[];
  readonly options?: NormalizedOptions;
}

export interface ChordExpression {
  readonly kind: 'chord';
  readonly header: GroupExpression;
  readonly body: CanvasExpression;
  readonly options?: NormalizedOptions;
}

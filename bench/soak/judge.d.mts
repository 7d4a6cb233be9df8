/** The types of `judge.mjs`, which tests import. */
export interface SeriesVerdict {
  readonly second: number;
  readonly last: number;
  readonly growth: number;
  readonly most: number;
  readonly trend: number;
  readonly isLevel: boolean;
}

export declare function judgeSeries(
  values: readonly number[],
  limits: { readonly part: number; readonly floor: number },
): SeriesVerdict;

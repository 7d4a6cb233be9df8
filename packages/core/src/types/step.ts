/**
 * What a composition looks at: a step needs `In` and gives `Out`. Both live in phantom properties that no object
 * carries at run time; comparing two steps is two property checks, whatever methods their full types have.
 */

export interface Input<in In> {
  readonly '~in': (value: In) => void;
}

export interface Result<out By extends string, out Out> {
  readonly '~by': By;
  readonly '~out': Out;
}

export type AnyResult = Result<string, unknown>;

/** Anything that can stand in a chain or a group: a task, a signature or a composition. */
export interface Step<out Name extends string, in In, out Out> {
  readonly '~needs': Input<In>;
  readonly '~gives': Result<Name, Out>;
}

export type AnyStep = Step<string, never, unknown>;

/** A parameter position right after a step that gives `Prev`. Printed in errors. */
export interface StepAfter<Prev extends AnyResult, Gives> {
  readonly '~needs': Input<Prev['~out']>;
  readonly '~gives': Gives;
}

/** The input a step still needs. */
export type InputOf<S> = S extends { readonly '~needs': Input<infer In> } ? In : never;

/** The result a step gives. */
export type OutputOf<S> = S extends { readonly '~gives': Result<string, infer Out> } ? Out : never;

/**
 * The parameters of `.delay()` for an input type: none for `void`, optional where nothing is required.
 * `never` comes first because `[never] extends [void]`.
 */
export type InputArgs<In> = [In] extends [never]
  ? [nothingFits: never]
  : unknown extends In
    ? [input?: In]
    : [In] extends [void]
      ? []
      : undefined extends In
        ? [input?: In]
        : {} extends In
          ? [input?: In]
          : [input: In];

import type { SendOptions } from '../options.js';

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

/** What the compiler prints at an option where the input of a call is expected. */
type OptionsComeSecond = 'this is an option of the call, not input: write applyAsync(undefined, { … })';

/** An input, unless all its keys are names of options. */
type NoOptions<Value> = Value extends object
  ? [keyof Value] extends [never]
    ? Value
    : [keyof Value] extends [keyof SendOptions]
      ? Value & { readonly [Key in keyof Value]: OptionsComeSecond }
      : Value
  : Value;

/** True for an input of which nothing is left to give: `{}`, once all keys are bound. */
type IsWhole<In> = unknown extends In
  ? false
  : {} extends In
    ? [keyof In] extends [never]
      ? true
      : false
    : false;

/**
 * The first parameter of `.applyAsync()`. Options in its place would be dropped where a call needs no input, so they do not
 * compile there; an input that looks like them and is meant goes to `.delay()`.
 */
export type InputArg<In, Value extends In> = [In] extends [never]
  ? In
  : unknown extends In
    ? NoOptions<Value>
    : IsWhole<In> extends true
      ? NoOptions<Value> | undefined
      : [In] extends [void]
        ? In
        : {} extends In
          ? In | undefined
          : In;

/** The same of a task: whatever is given to one that takes anything is its input. */
export type TaskInputArg<In, Value extends In> = unknown extends In ? In : InputArg<In, Value>;

/** The parameters of `.delay()`. */
export type DelayArgs<In, Value extends In> = [In] extends [never]
  ? InputArgs<In>
  : IsWhole<In> extends true
    ? [input?: NoOptions<Value>]
    : InputArgs<In>;

/**
 * The parameters of a call for an input type: none for `void`, optional where nothing is required.
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

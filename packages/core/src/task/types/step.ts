/**
 * The types by which workflows check their steps: a step needs `In` and returns `Out`. Both are in phantom properties that
 * no object has at run time, so comparing two steps costs two property checks, whatever methods their types have.
 */
import type { SendOptions } from '../options.js';
import type { KeysOf, Prettify } from './bind.js';

/** The input that a step needs, as a type only. */
export interface Input<in In> {
  readonly '~in': (value: In) => void;
}

/** The result of a step, with the name of the step, as a type only. Errors of the compiler show both. */
export interface Result<out By extends string, out Out> {
  readonly '~by': By;
  readonly '~out': Out;
}

/** The result of any step. */
export type AnyResult = Result<string, unknown>;

/**
 * The result of a step that passes the previous result on, with the keys of `Added` in it. `Out` is the part of the result
 * that is known without the previous step. In a chain, the compiler adds the rest.
 */
export interface PassingResult<out By extends string, out Out, out Added> extends Result<By, Out> {
  readonly '~adds': Added;
}

/** Any result of a step that passes the previous result on: a quick test for the compiler. */
export interface AnyPassing {
  readonly '~adds': unknown;
}

/** A value that a step passes on, with the keys that the step adds. */
export type PassedWith<Value, Added> = {} extends Added
  ? Value
  : Value extends unknown
    ? Prettify<Omit<Value, keyof Added> & Added>
    : never;

/** The result of a step that follows a step with the result `Out`. */
export type OutputAfter<Out, Gives extends AnyResult> = Gives extends AnyPassing
  ? PassedWith<Out, Gives['~adds']>
  : Gives['~out'];

/** Anything that can be a step of a chain or a member of a group: a task, a signature or a workflow. */
export interface Step<out Name extends string, in In, out Out> {
  readonly '~needs': Input<In>;
  readonly '~gives': Result<Name, Out>;
}

/** Any step, whatever it needs and returns. */
export type AnyStep = Step<string, never, unknown>;

/**
 * The type of a step that receives the result `Prev`, for methods of signatures: a signature stays assignable to one whose
 * result has fewer keys, so keys that a strict schema refuses are left to run time here. The compiler prints it in errors.
 */
export interface NextStep<Prev extends AnyResult, Gives> {
  readonly '~needs': Input<Prev['~out']>;
  readonly '~gives': Gives;
}

/** The type of a step that follows a step with the result `Prev`. The compiler prints it in errors. */
export interface StepAfter<Prev extends AnyResult, Gives> {
  readonly '~needs': Input<Prev['~out']>;
  readonly '~gives': Gives;
  readonly '~extras'?: ExtrasAfter<Prev>;
}

/** Keys of an object. The compiler prints it if a step returns a key that the next step refuses. */
export type OnlyKeys<Keys extends PropertyKey> = { readonly [Key in Keys]: unknown };

/** Extras of a step after `Prev`: if its schema refuses other keys, it must have all keys of that result. */
interface ExtrasAfter<Prev extends AnyResult> {
  readonly strict?: OnlyKeys<KeysOf<Prev['~out']>>;
  readonly coded?: unknown;
  readonly reports?: unknown;
}

/** The input that a step still needs. */
export type InputOf<S> = S extends { readonly '~needs': Input<infer In> } ? In : never;

/** The result of a step. */
export type OutputOf<S> = S extends { readonly '~gives': Result<string, infer Out> } ? Out : never;

/** The compiler prints this for an option in the place of the input. */
type OptionsComeSecond = 'this is an option of the call, not input: write applyAsync(undefined, { … })';

/** An input whose keys are not all names of options. */
type NoOptions<Value> = Value extends object
  ? [keyof Value] extends [never]
    ? Value
    : [keyof Value] extends [keyof SendOptions]
      ? Value & { readonly [Key in keyof Value]: OptionsComeSecond }
      : Value
  : Value;

/** True for an input without open keys: `{}`, when all keys are bound. */
type IsWhole<In> = unknown extends In
  ? false
  : {} extends In
    ? [keyof In] extends [never]
      ? true
      : false
    : false;

/**
 * The first parameter of `.applyAsync()`. If a call needs no input, options in this position would be ignored, so they do
 * not compile. An input that looks like options can be sent with `.delay()`.
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

/** The first parameter of a task's `.applyAsync()`. A task that accepts any input accepts any argument here. */
export type TaskInputArg<In, Value extends In> = unknown extends In ? In : InputArg<In, Value>;

/** The first parameter of `.delay()` if no key is open: nothing, or an object without keys. */
type NothingOpen = { readonly [Key in keyof SendOptions]?: OptionsComeSecond };

/**
 * The parameters of `.delay()`. A type parameter for the value, as `.applyAsync()` has, would double what the compiler has to
 * do for each call.
 */
export type DelayArgs<In> = IsWhole<In> extends true ? [input?: NothingOpen] : InputArgs<In>;

/**
 * The parameters of a call for an input type: none for `void`, one optional parameter if no key is required. `never` is
 * tested first, because `[never] extends [void]`.
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

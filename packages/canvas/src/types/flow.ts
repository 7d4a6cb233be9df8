/**
 * Left output fits right input; tuple in, tuple out. Only results are inferred, so each argument is checked on its
 * own: the compiler underlines the wrong one and names the step before it.
 */
import type { AnyResult, AnyStep, Input, PassingResult, Result } from '@umbel/core';
import type { PassedWith, Prettify } from '@umbel/core/internal';

/** The first parameter of a chain. */
export interface FirstStep<In, Gives> {
  readonly '~needs': Input<In>;
  readonly '~gives': Gives;
}

type Shift<First, Rest extends readonly unknown[]> = [First, ...Rest];

/**
 * What the step before position `Key` gives. Fixed positions have the keys '0', '1', …; the elements of a spread of
 * unknown length all have the key `number`, and nothing is known of the step before them.
 */
export type PrevOf<First, Rest extends readonly unknown[], Key> = Key extends number
  ? Result<'a spread of unknown length: use chain.of(steps)', unknown>
  : ResultAt<Shift<First, Rest>, Key>;

/** The result at a position, completed with the results before it if its step passes them on. */
type ResultAt<Results extends readonly unknown[], Key> = Results[Key & keyof Results] extends infer Found
  ? Found extends PassingResult<infer By, unknown, infer Added>
    ? [ResultAt<[unknown, ...Results], Key>] extends [never]
      ? Found
      : Result<By, PassedWith<ResultAt<[unknown, ...Results], Key>['~out'], Added>>
    : Found extends AnyResult
      ? Found
      : never
  : never;

type ValueOf<Gives> = Gives extends AnyResult ? Gives['~out'] : never;

/** The result of the last step of a chain whose last step passes the result before it on. */
type LastPassed<Results extends readonly unknown[]> = Results extends readonly [...infer Before, infer Last]
  ? Last extends PassingResult<string, unknown, infer Added>
    ? [LastPassed<Before>] extends [never]
      ? ValueOf<Last>
      : PassedWith<LastPassed<Before>, Added>
    : ValueOf<Last>
  : never;

/** The result of the last step. */
export type LastOf<First, Rest extends readonly unknown[]> = Rest extends readonly [...unknown[], infer Last]
  ? Last extends PassingResult<string, unknown, unknown>
    ? LastPassed<[First, ...Rest]>
    : ValueOf<Last>
  : Rest extends readonly []
    ? ValueOf<First>
    : ValueOf<First> | ValueOf<Rest[number]>;

/** Steps by name. */
interface StepRecord {
  readonly [name: string]: AnyStep;
}
/** Steps that are read while they are sent. */
interface Steps extends Iterable<AnyStep> {}
interface StepsLater extends AsyncIterable<AnyStep> {}

/**
 * Members of a group. Of an object literal the compiler looks for the wrong member in the interface whose name comes
 * first in the alphabet, so that has to be the record.
 */
export type Members = readonly AnyStep[] | StepRecord | Steps | StepsLater;

/** The members as a list or a record: what is read lazily is a list of unknown length. */
export type Listed<Group> = Group extends readonly unknown[]
  ? Group
  : Group extends Iterable<infer Member> | AsyncIterable<infer Member>
    ? Member[]
    : Group;

export type EachOf<Group> = Group extends readonly unknown[]
  ? Group[number]
  : Group extends Iterable<infer Member> | AsyncIterable<infer Member>
    ? Member
    : Group[keyof Group];

/** What all the steps of a union need together (contravariant inference gives the intersection). */
export type NeedsAll<Steps> = [Steps] extends [never]
  ? unknown
  : [Steps] extends [{ readonly '~needs': Input<infer In> }]
    ? Prettify<In>
    : never;

/** The names under which compositions give their results. */
type Composed =
  | 'chain'
  | 'group'
  | 'chord'
  | 'map'
  | 'starmap'
  | 'chunks'
  | 'match'
  | 'when'
  | 'fallback'
  | 'flat'
  | 'sleep'
  | 'loop'
  | 'waitFor';

/** What the compiler prints for a composition where only calls of one task can stand. A task may have such a name. */
interface CallOfOneTask<Name> {
  readonly name: Name;
}

export type OneCall<Name> = Name extends Composed ? CallOfOneTask<Name> : unknown;

/** Inputs of a step: a list, or what is read while it is sent. */
export type Inputs<In> = readonly In[] | Iterable<In> | AsyncIterable<In>;

/** Values for these keys, in their order. Never `undefined`, which a list cannot carry as JSON. */
export type Row<In, Keys extends readonly unknown[]> = {
  readonly [Place in keyof Keys]: Exclude<In[Keys[Place] & keyof In], undefined>;
};

/** Of a union, the keys of every member; `as` keeps those that stand beside an index signature. */
type RequiredKeys<In> = In extends unknown
  ? keyof { [Key in keyof In as {} extends Pick<In, Key> ? never : Key]: 1 }
  : never;

/** What the compiler prints when a required key is not listed. */
export type Unlisted<In, Keys> = [Exclude<RequiredKeys<In>, Keys>] extends [never]
  ? unknown
  : { readonly 'these keys are not listed': Exclude<RequiredKeys<In>, Keys> };

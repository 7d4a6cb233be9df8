/**
 * Types of chains and groups: the result of a step must fit the input of the next one; a tuple of members has a tuple of
 * results. Only results are inferred, so each argument is checked separately: the compiler underlines the wrong argument and
 * names the step before it.
 */
import type { AnyResult, AnyStep, Input, Result } from '@umbel/core';
import type { AnyPassing, PassedWith, Prettify } from '@umbel/core/internal';

/** The first parameter of a chain. */
export interface FirstStep<In, Gives> {
  readonly '~needs': Input<In>;
  readonly '~gives': Gives;
}

type Shift<First, Rest extends readonly unknown[]> = [First, ...Rest];

/**
 * The result of the step before position `Key`. Fixed positions have the keys '0', '1', …. The elements of a spread of unknown
 * length have the key `number`, and the step before them is unknown.
 */
export type PrevOf<First, Rest extends readonly unknown[], Key> = Key extends number
  ? Result<'a spread of unknown length: use chain.of(steps)', unknown>
  : ResultAt<Shift<First, Rest>, Key>;

/** The result at a position, completed with the results before it if its step passes them on. */
type ResultAt<Results extends readonly unknown[], Key> = Results[Key &
  keyof Results] extends infer Found extends AnyResult
  ? Found extends AnyPassing
    ? [ResultAt<[unknown, ...Results], Key>] extends [never]
      ? Found
      : Result<Found['~by'], PassedWith<ResultAt<[unknown, ...Results], Key>['~out'], Found['~adds']>>
    : Found
  : never;

type ValueOf<Gives> = Gives extends AnyResult ? Gives['~out'] : never;

/** The result of the last step of a chain whose last step passes the result before it on. */
type LastPassed<Results extends readonly unknown[]> = Results extends readonly [...infer Before, infer Last]
  ? Last extends AnyPassing
    ? [LastPassed<Before>] extends [never]
      ? ValueOf<Last>
      : PassedWith<LastPassed<Before>, Last['~adds']>
    : ValueOf<Last>
  : never;

/** The result of the last step. */
export type LastOf<First, Rest extends readonly unknown[]> = Rest extends readonly [...unknown[], infer Last]
  ? Last extends AnyPassing
    ? LastPassed<[First, ...Rest]>
    : ValueOf<Last>
  : Rest extends readonly []
    ? ValueOf<First>
    : ValueOf<First> | ValueOf<Rest[number]>;

/** Steps by name. */
interface StepRecord {
  readonly [name: string]: AnyStep;
}
/** Lazy steps, which are read while they are sent. */
interface Steps extends Iterable<AnyStep> {}
interface StepsLater extends AsyncIterable<AnyStep> {}

/**
 * Members of a group. For an object literal the compiler reports the wrong member in the interface whose name comes first in
 * the alphabet, so that must be the record.
 */
export type Members = readonly AnyStep[] | StepRecord | Steps | StepsLater;

/** The members as a list or a record; lazy members are a list of unknown length. */
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

/** The needs of all steps of a union together: contravariant inference results in the intersection. */
export type NeedsAll<Steps> = [Steps] extends [never]
  ? unknown
  : [Steps] extends [{ readonly '~needs': Input<infer In> }]
    ? Prettify<In>
    : never;

/** The names of the results of a record of members. */
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

/** The message for a workflow where only calls of one task are allowed. A task may have such a name. */
interface CallOfOneTask<Name> {
  readonly name: Name;
}

export type OneCall<Name> = Name extends Composed ? CallOfOneTask<Name> : unknown;

/** Inputs of a step: a list, or a lazy source. */
export type Inputs<In> = readonly In[] | Iterable<In> | AsyncIterable<In>;

/** Values for these keys, in order. Never `undefined`, which a JSON list cannot contain. */
export type Row<In, Keys extends readonly unknown[]> = {
  readonly [Place in keyof Keys]: Exclude<In[Keys[Place] & keyof In], undefined>;
};

/** The keys of every member of a union; `as` keeps those beside an index signature. */
type RequiredKeys<In> = In extends unknown
  ? keyof { [Key in keyof In as {} extends Pick<In, Key> ? never : Key]: 1 }
  : never;

/** The message for a required key that is not listed. */
export type Unlisted<In, Keys> = [Exclude<RequiredKeys<In>, Keys>] extends [never]
  ? unknown
  : { readonly 'these keys are not listed': Exclude<RequiredKeys<In>, Keys> };

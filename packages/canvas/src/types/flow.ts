/**
 * Left output fits right input; tuple in, tuple out. Only results are inferred, so each argument is checked on its
 * own: the compiler underlines the wrong one and names the step before it.
 */
import type { AnyResult, AnyStep, Input, Result } from '@umbel/core';
import type { Prettify } from '@umbel/core/internal';

/** A parameter position right after a step that gives `Prev`. Printed in errors. */
export interface StepAfter<Prev extends AnyResult, Gives> {
  readonly '~needs': Input<Prev['~out']>;
  readonly '~gives': Gives;
}

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
  : Shift<First, Rest>[Key & keyof Shift<First, Rest>] extends infer Prev extends AnyResult
    ? Prev
    : never;

type ValueOf<Gives> = Gives extends AnyResult ? Gives['~out'] : never;

/** The result of the last step. */
export type LastOf<First, Rest extends readonly unknown[]> = Rest extends readonly [...unknown[], infer Last]
  ? ValueOf<Last>
  : Rest extends readonly []
    ? ValueOf<First>
    : ValueOf<First> | ValueOf<Rest[number]>;

/** Members of a group: a list or a record of steps. */
export type Members = readonly AnyStep[] | { readonly [name: string]: AnyStep };

export type EachOf<Group> = Group extends readonly unknown[] ? Group[number] : Group[keyof Group];

/** What all the steps of a union need together (contravariant inference gives the intersection). */
export type NeedsAll<Steps> = [Steps] extends [never]
  ? unknown
  : [Steps] extends [{ readonly '~needs': Input<infer In> }]
    ? Prettify<In>
    : never;

/** What a task declares beside its input and output. Kept in the phantom `~extras` of its type. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Prettify } from './bind.js';

/**
 * What a task reports while it runs, and how it may fail. Not an interface: that would have a name, which the declaration
 * files of those who export a task could not write.
 */
type Reports<Progress, States extends string, Failures> = {
  readonly progress: Progress;
  readonly states: States;
  readonly failures: Failures;
};

type AnySchema = StandardSchemaV1;

/** The declared failures and the data of each, as the handler gives it. */
export type FailureSchemas = Readonly<Record<string, AnySchema>>;

type DataOf<Failures extends FailureSchemas> = {
  [Failure in keyof Failures]: StandardSchemaV1.InferInput<Failures[Failure]>;
};

/** The part of a task's extras that its reports make; empty when it declares none. */
export type ReportsOf<Progress extends AnySchema, States extends string, Failures extends FailureSchemas> = [
  Progress,
  States,
  keyof Failures,
] extends [never, never, never]
  ? {}
  : {
      reports: Reports<
        [Progress] extends [never] ? unknown : StandardSchemaV1.InferInput<Progress>,
        States,
        Prettify<DataOf<Failures>>
      >;
    };

export type ProgressOf<Extras> = Extras extends { reports: Reports<infer Progress, string, unknown> }
  ? Progress
  : unknown;
export type StatesOf<Extras> = Extras extends { reports: Reports<unknown, infer States, unknown> }
  ? States
  : never;
export type FailuresOf<Extras> = Extras extends { reports: Reports<unknown, string, infer Failures> }
  ? Failures
  : {};

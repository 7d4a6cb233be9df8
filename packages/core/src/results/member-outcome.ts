/** How the members of a group end, one by one. */
import type { FailureRecord } from '../tasks/options.js';

/** What the members of a group give whose results are `Out`: its items, or its values; another value is one member. */
export type MemberOf<Out> = Out extends readonly unknown[]
  ? Out[number]
  : Out extends object
    ? Out[keyof Out]
    : Out;

interface Place {
  /** In declared order, from 0. Members that others have added come after those. */
  readonly index: number;
  /** Of a record. */
  readonly key?: string;
}

/** How a member has ended. */
export type MemberOutcome<Value> =
  | (Place & { readonly ok: true; readonly value: Value })
  | (Place & { readonly ok: false; readonly error: FailureRecord });

/** A member as it is now. */
export type PageEntry<Value> = MemberOutcome<Value> | (Place & { readonly pending: true });

export interface PageOptions {
  /** The first member that is read. Default: 0. */
  offset?: number | undefined;
  /** How many are read. Default: 100. */
  limit?: number | undefined;
}

/** How a task of a run has ended. */
export type CollectedTask =
  | { readonly id: string; readonly task: string; readonly ok: true; readonly value: unknown }
  | { readonly id: string; readonly task: string; readonly ok: false; readonly error: FailureRecord };

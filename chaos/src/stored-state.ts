/** The content of a store at the end of a campaign. */

/** A job as it is stored. */
export interface StoredJob {
  readonly queue: string;
  readonly id: string;
  readonly name: string;
  /** The set of its queue that it is in; undefined if it is in none. */
  readonly state: string | undefined;
  /** As its sender and its workers wrote it, or undefined if it cannot be read. */
  readonly data: Readonly<Record<string, unknown>> | undefined;
  readonly result: unknown;
  readonly failedReason: string | undefined;
  /** The last time. */
  readonly startedAt: number | undefined;
  readonly finishedAt: number | undefined;
  /** Attempts that were charged. */
  readonly attempts: number;
  /** The job that waits for it. */
  readonly parent: { readonly queue: string; readonly id: string } | undefined;
}

/** The record of a signal and its wait. */
export interface SignalRecord {
  readonly key: string;
  /** `sent`, `waiting`, `signalled` or `ended`. */
  readonly state: string;
  /** It will be removed by itself. */
  readonly expires: boolean;
}

export interface StoredState {
  readonly jobs: readonly StoredJob[];
  readonly signals: readonly SignalRecord[];
  /** Keys or rows that belong to no job and no queue. */
  readonly strayKeys: readonly string[];
  /** Jobs whose lock is held. */
  readonly locks: readonly string[];
}

/** Returns the value of a JSON text; undefined if there is none. */
export function parsed(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

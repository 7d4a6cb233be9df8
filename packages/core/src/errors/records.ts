/** Errors as plain data. */

/** One thing that is wrong with a value. */
export interface ValidationIssue {
  /** Where: `input.to`, `result[3].url`. */
  readonly path: string;
  /** What was expected and what came, in the schema library's words. */
  readonly message: string;
}

/** What of a task is not valid. */
export type ValidationSubject = 'input' | 'result' | 'progress' | 'failure';

/** An error as it is stored with its job: plain data, readable by every client. */
export interface ErrorRecord {
  /** The error's `name`; where its class has left that as the class above it sets it, the name of its class. */
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string | number;
  /** Of a `ValidationError`, with the next two. */
  readonly issues?: readonly ValidationIssue[];
  readonly task?: string;
  readonly subject?: ValidationSubject;
  /** Of an `ExpectedFailureError`, with `data`. */
  readonly failure?: string;
  readonly data?: unknown;
  /**
   * The error's own enumerable data fields, as JSON: up to 8,000 characters of them, without objects of classes. Values of
   * the task's `sensitive` keys, and of keys that name a credential (`password`, `authorization`, `accessToken` …), are
   * `'***'`.
   */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Down to five levels, and thirty errors in all. */
  readonly cause?: ErrorRecord;
  /** The first ten errors of an `AggregateError`, or of another error's `errors`. */
  readonly errors?: readonly ErrorRecord[];
  /** How many errors of that list were not kept. */
  readonly omittedErrors?: number;
}

/** The step of a run that failed first. */
export interface FailureOrigin {
  readonly task: string;
  readonly jobId: string;
  /** Attempts that were made. */
  readonly attempts?: number;
  /** Absent: failed. */
  readonly state?: 'expired' | 'revoked' | 'skipped';
  /** Of `chunks`: which of all the inputs its handler failed at. */
  readonly index?: number;
  readonly error: ErrorRecord;
}

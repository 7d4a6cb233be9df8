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
  readonly cause?: ErrorRecord;
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

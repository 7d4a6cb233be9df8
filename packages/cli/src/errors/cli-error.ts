import type { ExitCode } from './exit-codes.js';

/** What went wrong, in words for people: what, why, and what to do. */
export interface Problem {
  readonly exitCode: ExitCode;
  readonly what: string;
  readonly why?: string;
  readonly hint?: string;
}

/** Ends a command. */
export class CliError extends Error {
  override readonly name = 'CliError';

  constructor(
    readonly problem: Problem,
    options?: ErrorOptions,
  ) {
    super(problem.what, options);
  }
}

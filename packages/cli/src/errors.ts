import { CommanderError } from 'commander';
import { inCommands } from './output.js';

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

/** What the exit code of every command means. */
export const EXIT = {
  ok: 0,
  /** A task has failed; of `doctor`, something is wrong. */
  failed: 1,
  /** Flags, arguments, input or configuration that cannot be used. */
  usage: 2,
  notFound: 3,
  /** The module of the app cannot be loaded, or holds none. */
  appUnloadable: 4,
  /** The store does not answer. */
  unreachable: 69,
  /** There was no result in time, or there is none yet. */
  timedOut: 75,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

// Any error as what, why, and what to do.

/** How Umbel brands its errors, also those of another copy of it. */
const BRAND = Symbol.for('umbel.error');

/** The code of one of Umbel's errors. */
export function umbelCode(error: unknown): string | undefined {
  return error instanceof Error && BRAND in error && 'code' in error ? String(error.code) : undefined;
}

const KNOWN: Readonly<Record<string, { exitCode: ExitCode; what: string; hint?: string }>> = {
  CONNECTION: {
    exitCode: EXIT.unreachable,
    what: 'The store does not answer.',
    hint: 'Say where it is with --connection redis://… or UMBEL_URL.',
  },
  STORE_CONFIGURATION: { exitCode: EXIT.usage, what: 'The store is not set up for jobs.' },
  INVALID_OPTION: { exitCode: EXIT.usage, what: 'An option cannot be used.' },
  UNKNOWN_QUEUE: {
    exitCode: EXIT.usage,
    what: 'There is no such queue.',
    hint: 'With --name, a queue that no worker serves has to be told: --queue.',
  },
  VALIDATION: {
    exitCode: EXIT.usage,
    what: 'The input does not fit.',
    hint: 'Nothing was sent. Correct it, and send it again.',
  },
  UNKNOWN_JOB: {
    exitCode: EXIT.notFound,
    what: 'There is no such job.',
    hint: 'Is it of this app, in this store and, with --name, in one of these queues? See --connection and --queue.',
  },
  TIMEOUT: { exitCode: EXIT.timedOut, what: 'There is no result yet.' },
  UNKNOWN_SCHEDULE: {
    exitCode: EXIT.notFound,
    what: 'There is no such schedule.',
    hint: 'umbel schedule list shows those that there are.',
  },
  JOB_STATE: { exitCode: EXIT.failed, what: 'That cannot be done to a job in this state.' },
  SCHEDULE: { exitCode: EXIT.usage, what: 'The schedule cannot be stored.' },
  DUPLICATE_TASK: { exitCode: EXIT.appUnloadable, what: 'The app cannot be loaded.' },
};

/** What is told of an error that ended a command; with its stack beside it, or without. */
export function problemOf(error: unknown, hasStack = false): Problem {
  if (error instanceof CliError) return error.problem;
  if (error instanceof CommanderError) return usageProblem(error);
  const why = inCommands(error instanceof Error ? error.message : String(error));
  const known = KNOWN[umbelCode(error) ?? ''];
  if (known !== undefined) return { ...known, why };
  return {
    exitCode: EXIT.failed,
    what: 'The command has failed.',
    why: error instanceof Error && error.name !== 'Error' ? `${error.name}: ${why}` : why,
    ...(!hasStack && { hint: 'Run it again with -v to see where.' }),
  };
}

function usageProblem(error: CommanderError): Problem {
  // Its messages are a sentence, and for values another one on what was expected.
  const [what = '', ...more] = error.message
    .replace(/^error: /, '')
    .replace(/ is invalid\. /, ' is invalid.\n')
    .split('\n');
  const why = more
    .join(' ')
    .replace(/^\((.*)\)$/, '$1')
    .trim();
  return {
    exitCode: EXIT.usage,
    what: `${what.slice(0, 1).toUpperCase()}${what.slice(1)}`,
    ...(why !== '' && { why }),
    hint: 'See umbel --help, or umbel <command> --help.',
  };
}

/** Defines the exit codes, and turns any error into a problem: what happened, why, and what to do. */
import { CommanderError } from 'commander';
import { inCommands } from './output.js';

/** An error as text: what happened, why, and what to do. */
export interface Problem {
  readonly exitCode: ExitCode;
  readonly what: string;
  readonly why?: string;
  readonly hint?: string;
}

/** Ends a command with a problem and its exit code. */
export class CliError extends Error {
  override readonly name = 'CliError';

  constructor(
    readonly problem: Problem,
    options?: ErrorOptions,
  ) {
    super(problem.what, options);
  }
}

/** The exit codes of all commands. */
export const EXIT = {
  ok: 0,
  /** A task failed, or `doctor` found an error. */
  failed: 1,
  /** Invalid flags, arguments, input or configuration. */
  usage: 2,
  notFound: 3,
  /** The module of the app cannot be loaded, or exports no app. */
  appUnloadable: 4,
  /** The store does not answer. */
  unreachable: 69,
  /** No result yet, or none in time. */
  timedOut: 75,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

// Conversion of any error to a problem.

/** Marks Umbel's errors, including those of another copy of Umbel. */
const BRAND = Symbol.for('umbel.error');

/** Returns the code of an error of Umbel; undefined for other errors. */
export function umbelCode(error: unknown): string | undefined {
  return error instanceof Error && BRAND in error && 'code' in error ? String(error.code) : undefined;
}

/** Fields of Umbel's errors that name the subject of the error. */
type ErrorFields = Readonly<Partial<Record<'jobId' | 'queue' | 'schedule' | 'subject' | 'task', unknown>>>;

interface KnownError {
  readonly exitCode: ExitCode;
  /** Names the subject; the message of the error follows as the reason. */
  readonly what: (fields: ErrorFields) => string;
  readonly hint?: string;
}

const quoted = (name: unknown): string => (typeof name === 'string' ? ` "${name}"` : '');

const KNOWN: Readonly<Record<string, KnownError>> = {
  CONNECTION: {
    exitCode: EXIT.unreachable,
    what: () => 'The store does not answer.',
    hint: 'Set its URL with --connection redis://… or UMBEL_URL.',
  },
  STORE_CONFIGURATION: {
    exitCode: EXIT.usage,
    what: () => 'The store cannot be used.',
  },
  INVALID_OPTION: { exitCode: EXIT.usage, what: () => 'An option is invalid.' },
  UNKNOWN_QUEUE: {
    exitCode: EXIT.usage,
    what: ({ queue }) => `There is no queue${quoted(queue)}.`,
    hint: 'With --name, pass queues that no worker serves with --queue.',
  },
  VALIDATION: {
    exitCode: EXIT.usage,
    what: ({ task, subject = 'input' }) =>
      `The ${String(subject)} of ${subject === 'payload' ? 'signal' : 'task'}${quoted(task)} is invalid.`,
    hint: 'Nothing was sent. Correct the input and send it again.',
  },
  UNKNOWN_JOB: {
    exitCode: EXIT.notFound,
    what: ({ jobId }) => `There is no job${quoted(jobId)}.`,
    hint: 'Check the app, the store and, with --name, the queues: --name, --connection and --queue.',
  },
  TIMEOUT: { exitCode: EXIT.timedOut, what: ({ jobId }) => `Job${quoted(jobId)} has no result yet.` },
  UNKNOWN_SCHEDULE: {
    exitCode: EXIT.notFound,
    what: ({ schedule }) => `There is no schedule${quoted(schedule)}.`,
    hint: 'List the schedules with umbel schedule list.',
  },
  JOB_STATE: { exitCode: EXIT.failed, what: () => 'The state of the job does not allow this.' },
  SCHEDULE: { exitCode: EXIT.usage, what: ({ schedule }) => `Schedule${quoted(schedule)} cannot be stored.` },
  DUPLICATE_TASK: { exitCode: EXIT.appUnloadable, what: () => 'The app cannot be loaded.' },
};

/** Returns the problem of an error. Without a printed stack, the hint for an unknown error suggests `-v`. */
export function problemOf(error: unknown, hasStack = false): Problem {
  if (error instanceof CliError) return error.problem;
  if (error instanceof CommanderError) return usageProblem(error);
  const why = inCommands(error instanceof Error ? error.message : String(error));
  const known = KNOWN[umbelCode(error) ?? ''];
  if (known !== undefined) return { ...known, what: known.what(error as ErrorFields), why };
  return {
    exitCode: EXIT.failed,
    what: 'The command failed.',
    why: error instanceof Error && error.name !== 'Error' ? `${error.name}: ${why}` : why,
    ...(!hasStack && { hint: 'Run it again with -v to print the stack.' }),
  };
}

function usageProblem(error: CommanderError): Problem {
  // Commander's messages are one sentence, followed by the expected value for invalid values.
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
    hint: 'Run umbel --help or umbel <command> --help.',
  };
}

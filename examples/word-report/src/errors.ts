/** From errors to what the person at the terminal is told, and to exit codes. */
import { getSystemErrorMap } from 'node:util';
import { ConnectionError, InvalidOptionError, TaskFailedError } from '@umbel/core';

/** The command line, or the folder it names, cannot be used. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Ctrl-C, or a SIGTERM. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError';

  constructor(
    readonly signal: StopSignal,
    message = 'Stopped.',
  ) {
    super(message);
  }
}

export type StopSignal = 'SIGINT' | 'SIGTERM';

/** 128 and the signal's number, as shells count; 69 is EX_UNAVAILABLE of sysexits.h. */
export const EXIT = { failed: 1, usage: 2, unavailable: 69, SIGINT: 130, SIGTERM: 143 } as const;

/** What went wrong, why, and what to do. */
export function explain(error: unknown): { code: number; message: string } {
  if (error instanceof StoppedError) return { code: EXIT[error.signal], message: error.message };
  if (error instanceof UsageError) {
    return { code: EXIT.usage, message: `${error.message}\nSee: npm run demo -- --help` };
  }
  if (error instanceof InvalidOptionError) {
    return {
      code: EXIT.usage,
      message: `${error.message}\nCorrect UMBEL_URL, or unset it to run in memory.`,
    };
  }
  if (error instanceof ConnectionError) {
    return { code: EXIT.unavailable, message: `${error.message}\nUnset UMBEL_URL to run in memory.` };
  }
  if (error instanceof TaskFailedError && error.cause instanceof Error) {
    const advice = error.task === 'document.read' ? ' Correct or remove the document, then run again.' : '';
    return {
      code: EXIT.failed,
      message: `${error.cause.message}\nThe task ${error.task} failed, so no report was written.${advice}`,
    };
  }
  return { code: EXIT.failed, message: error instanceof Error ? error.message : String(error) };
}

/** Why the system refused, in words: `permission denied (EACCES)`. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { errno } = error as NodeJS.ErrnoException;
  const [code, words] = (errno !== undefined && getSystemErrorMap().get(errno)) || [];
  return code === undefined ? error.message : `${words} (${code})`;
}

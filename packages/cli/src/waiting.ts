/** Waits for a result, shows its progress, and prints its outcome. */
import type { AsyncResult, Duration, Outcome } from '@umbel/core';
import { CliError, EXIT, type ExitCode } from './errors.js';
import { cleanLine, jsonText, type Output, progressLine } from './output.js';

export interface WaitOptions {
  readonly out: Output;
  readonly timeout?: string;
  /** The command that prints the result later. */
  readonly later: string;
  /** Prints the id of the job even where no line can change in place. */
  readonly verbose?: boolean;
}

const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** Waits, then prints the result to stdout or the error to stderr. @throws {CliError} if a signal interrupts the wait. */
export async function printWhenDone(
  result: AsyncResult<unknown>,
  { out, timeout, later, verbose = false }: WaitOptions,
): Promise<ExitCode> {
  const controller = new AbortController();
  const { signal } = controller;
  const stops = (Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]).map((name) => {
    const stop = () => controller.abort(interruptedError(SIGNALS[name], result.id, later));
    process.once(name, stop);
    return () => process.off(name, stop);
  });
  if (verbose && !out.isInteractive) out.note(cleanLine(`waiting for ${result.id}`));
  const progress = showProgress(result, out, signal);
  try {
    const wait = { signal, ...(timeout !== undefined && { timeout: timeout as Duration }) };
    return printOutcome(out, result.id, await result.outcome(wait), later);
  } finally {
    for (const stop of stops) stop();
    controller.abort();
    await progress;
  }
}

function interruptedError(exitCode: ExitCode, id: string, later: string): CliError {
  return new CliError({
    exitCode,
    what: `Interrupted: stopped waiting for job "${id}".`,
    why: 'The job continues.',
    hint: `Wait for its result with: ${later}`,
  });
}

async function showProgress(result: AsyncResult<unknown>, out: Output, signal: AbortSignal): Promise<void> {
  out.status(`waiting for ${result.id}`);
  try {
    for await (const value of result.progress({ signal })) {
      const line = progressLine(value);
      if (out.isInteractive) out.status(line);
      else out.note(`progress: ${jsonText(value)}`);
    }
  } catch {
    // The same error also ends the wait for the result, which reports it.
  } finally {
    if (signal.aborted) out.status(undefined);
  }
}

/** Prints the outcome of a job: its result to stdout, or its error. */
export function printOutcome(
  out: Output,
  id: string,
  outcome: Outcome<unknown>,
  later: string,
  facts: object = {},
): ExitCode {
  out.status(undefined);
  if (outcome.ok) {
    if (out.isJson)
      out.document('result', { id, ...facts, state: 'completed', result: outcome.value ?? null });
    else out.data(jsonText(outcome.value ?? null, process.stdout.isTTY ? 2 : undefined));
    return EXIT.ok;
  }
  const { error, failure } = outcome as Extract<typeof outcome, { ok: false }> & { failure?: string };
  const { cause, task, jobId, state, index } = error;
  if (out.isJson) {
    const data = 'data' in outcome && outcome.data !== undefined ? { data: outcome.data } : {};
    const errorFields = {
      task,
      jobId,
      name: cause.name,
      message: cause.message,
      ...('code' in cause && { code: cause.code }),
      ...(index !== undefined && { index }),
      ...(failure !== undefined && { failure, ...data }),
    };
    out.document('result', { id, ...facts, state, error: errorFields });
    return EXIT.failed;
  }
  out.problem({
    exitCode: EXIT.failed,
    what: `Task "${task}" ${state === 'failed' ? 'failed' : `was ${state}`}${index === undefined ? '' : ` at input ${index}`}.`,
    why: `${cause.name}: ${cause.message}`,
    hint: `Job ${jobId}${jobId === id ? '' : ` of run ${id}`}. ${later.replace(' --wait', ' --json')}`,
  });
  return EXIT.failed;
}

/** Waits for a result, shows how far it is, and tells how it ended. */
import type { AsyncResult, Duration, Outcome } from '@umbel/core';
import { CliError, EXIT, type ExitCode } from './errors.js';
import type { Output } from './output.js';
import { cleanLine, jsonText, progressLine } from './output.js';

export interface WaitOptions {
  readonly out: Output;
  readonly timeout?: string;
  /** The command that looks at it later. */
  readonly later: string;
  /** Names the job also where no line can change in place. */
  readonly verbose?: boolean;
}

const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** Prints the result on stdout; of a failure the error on stderr. @throws {CliError} if the wait is given up. */
export async function printWhenDone(
  result: AsyncResult<unknown>,
  { out, timeout, later, verbose = false }: WaitOptions,
): Promise<ExitCode> {
  const controller = new AbortController();
  const { signal } = controller;
  const stops = (Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]).map((name) => {
    const stop = () => controller.abort(givenUp(SIGNALS[name], result.id, later));
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

function givenUp(exitCode: ExitCode, id: string, later: string): CliError {
  return new CliError({
    exitCode,
    what: 'Interrupted: not waiting any more.',
    why: `Job ${id} goes on.`,
    hint: `Look at it with: ${later}`,
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
    // Whatever ends it ends the wait for the result too, which tells it.
  } finally {
    if (signal.aborted) out.status(undefined);
  }
}

/** How a job has ended: its result on stdout, or its error. */
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
    const told = {
      task,
      jobId,
      name: cause.name,
      message: cause.message,
      ...('code' in cause && { code: cause.code }),
      ...(index !== undefined && { index }),
      ...(failure !== undefined && { failure, ...data }),
    };
    out.document('result', { id, ...facts, state, error: told });
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

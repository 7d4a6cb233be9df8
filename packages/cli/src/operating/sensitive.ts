/** Masks what is sensitive in inputs that commands print: people share what they see, and JSON goes into files. */
import type { App } from '@umbel/core';
import type { coreOf } from '@umbel/core/internal';
import type { Command } from 'commander';
import { ownFlag } from '../flags.js';
import type { Output } from '../output/output.js';

export interface UnmaskedFlags {
  readonly unmasked?: boolean;
}

export function unmaskedFlag(command: Command): void {
  command.addOption(ownFlag('--unmasked', 'print sensitive values of inputs as they are'));
}

/** An input of a task's job, as it is to be printed. */
type Masked = (task: string, input: unknown) => unknown;

/**
 * Masks inputs by the `sensitive` keys of their tasks and of the app. Only the app's code has these: without it, or for a
 * task that it does not define, a line on stderr says once what is not masked.
 */
export function maskedInputs(
  { app, isNamed }: { readonly app: App; readonly isNamed: boolean },
  { unmasked = false }: UnmaskedFlags,
  out: Output,
): Masked {
  // Every app is its core at run time; one of an earlier version masks nothing.
  const core = app as unknown as Partial<ReturnType<typeof coreOf>>;
  const noted = new Set<string>();
  const note = (text: string) => {
    if (noted.has(text)) return;
    noted.add(text);
    out.note(text);
  };
  return (task, input) => {
    if (unmasked || input === undefined) return input;
    if (isNamed || core.masked === undefined) {
      note("Sensitive values are not masked: only the app's code (--app) knows which they are.");
      return input;
    }
    if (core.measured?.hasTask(task) === false)
      note(
        "Some tasks are not in the app's code: of their inputs only the app's own sensitive keys are masked.",
      );
    return core.masked(task, input);
  };
}

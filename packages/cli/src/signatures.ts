/** Compositions and signatures that modules export. */
import { relative } from 'node:path';
import type { AsyncResult, RunGraph, SendOptions } from '@umbel/core';
import { isSignature, type LoadedModule, wantedExport } from './app-loader.js';
import { CliError } from './errors/cli-error.js';
import { EXIT } from './errors/exit-codes.js';

/** A signature, with its types forgotten. */
export interface AnySignature {
  applyAsync(input?: unknown, options?: SendOptions): Promise<AsyncResult<unknown>>;
  graph(): RunGraph;
  toJSON(): { readonly kind: string };
}

/** The one that `module#export` names, or the only composition of the module. @throws {CliError} if there is none. */
export function signatureOf(module: LoadedModule): AnySignature {
  const name = relative(process.cwd(), module.path);
  if (module.wanted !== undefined) {
    const value = wantedExport(module);
    if (isSendable(value)) return value;
    throw new CliError({
      exitCode: EXIT.appUnloadable,
      what: `The export "${module.wanted}" of ${name} cannot be sent.`,
      why: 'It is no composition, signature or task.',
      hint: "Export one: export const pipeline = chain(fetch.s({ url: '…' }), publish)",
    });
  }
  const all = Object.entries(module.exports).filter((entry): entry is [string, AnySignature] =>
    isSendable(entry[1]),
  );
  const compositions = all.filter(([, value]) => value.toJSON().kind !== 'task');
  const [only, ...others] = compositions.length > 0 ? compositions : all;
  if (only !== undefined && others.length === 0) return only[1];
  throw new CliError({
    exitCode: EXIT.appUnloadable,
    what: only === undefined ? `There is no composition in ${name}.` : `Which composition of ${name}?`,
    why:
      only === undefined
        ? `It exports ${Object.keys(module.exports).join(', ') || 'nothing'}.`
        : `It exports ${[only, ...others].map(([each]) => each).join(', ')}.`,
    hint: only === undefined ? 'Export a chain, a group …' : `Say which: ${name}#${only[0]}`,
  });
}

function isSendable(value: unknown): value is AnySignature {
  return isSignature(value) && 'applyAsync' in value && typeof value.applyAsync === 'function';
}

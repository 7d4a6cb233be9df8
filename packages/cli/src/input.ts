/** The input of a call as it is given: as text, from a file, or from standard input. */
import { readFileSync } from 'node:fs';
import { CliError } from './errors/cli-error.js';
import { EXIT } from './errors/exit-codes.js';
import { parseJson } from './json-input.js';

/** The value of `'{…}'`, `@file` or `-`; undefined without any. @throws {CliError} unless it is JSON. */
export async function readInput(text: string | undefined): Promise<unknown> {
  if (text === undefined) return undefined;
  if (text === '-') return parseJson(await standardInput(), 'Standard input');
  if (!text.startsWith('@')) return parseJson(text, 'The input');
  const path = text.slice(1);
  try {
    return parseJson(readFileSync(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(
      {
        exitCode: EXIT.usage,
        what: `The input file ${path} cannot be read.`,
        why: error instanceof Error ? error.message : String(error),
        hint: 'Write @ before the path of a file, or give JSON itself.',
      },
      { cause: error },
    );
  }
}

async function standardInput(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('Reading JSON from standard input; end it with Ctrl-D.\n');
  process.stdin.setEncoding('utf8');
  let text = '';
  for await (const part of process.stdin) text += part;
  return text;
}

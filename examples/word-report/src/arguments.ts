import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { UsageError } from './errors.js';

export interface Arguments {
  /** Absolute, as is `out`: a worker may have another current directory. */
  readonly folder: string;
  readonly out: string;
  readonly limit: number;
  readonly verbose: boolean;
  readonly help: boolean;
}

export const HELP = `Counts the words and links of a folder of documents, and writes a report.

Usage: npm run demo -- [folder] [options]

  folder          Default: the documents of the packages in node_modules of this repository.
                  Documents are .md, .markdown, .txt and .rst files, and README.
  --out <folder>  Where report.json and report.html are written. Default: word-report
  --limit <n>     At most this many documents. Default: 400
  --verbose       Errors with their stack
  --help          This text

UMBEL_URL=redis://… keeps the run in Redis, where other workers take part:
  UMBEL_URL=redis://… npm run worker --workspace examples/word-report`;

const OPTIONS = {
  out: { type: 'string', default: 'word-report' },
  limit: { type: 'string', default: '400' },
  verbose: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** @throws {UsageError} for anything that cannot be understood. */
export function readArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parse(args);
  const [folder = fileURLToPath(new URL('../../../node_modules', import.meta.url)), ...more] = positionals;
  if (more.length > 0) throw new UsageError(`Expected one folder, got ${positionals.length}.`);
  const limit = Number(values.limit);
  if (!Number.isInteger(limit) || limit < 1) {
    throw new UsageError(`Expected --limit to be a whole number from 1, got "${values.limit}".`);
  }
  const { verbose, help } = values;
  return { folder: resolve(folder), out: resolve(values.out), limit, verbose, help };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? `${cause.message}.`.replace(/\.+$/, '.') : String(cause), {
      cause,
    });
  }
}

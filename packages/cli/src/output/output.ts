/** Where a command writes: data on stdout, everything else on stderr. */

import pico from 'picocolors';
import type { Formatter } from 'picocolors/types.js';
import type { Problem } from '../errors/cli-error.js';
import { clean, cleanLine, jsonText } from './text.js';

/** Of every JSON document; raised when a shape changes so that a reader would notice. */
const VERSION = 1;

type Environment = Readonly<Record<string, string | undefined>>;

export interface Stream {
  readonly isTTY?: boolean;
  /** Of a terminal. */
  readonly columns?: number;
  write(text: string): unknown;
}

export type Colors = Record<'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan', Formatter>;

/** Whether a stream is a terminal that wants colours. `FORCE_COLOR` wins over `NO_COLOR` and `CI`. */
export function hasColors(stream: Stream, env: Environment): boolean {
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0';
  return stream.isTTY === true && !env.NO_COLOR && !env.CI && env.TERM !== 'dumb';
}

/** Whether lines that change in place can be shown. */
export function isInteractive(stream: Stream, env: Environment): boolean {
  return stream.isTTY === true && !env.CI && env.TERM !== 'dumb';
}

export class Output {
  /** Of stdout. */
  readonly colors: Colors;
  /** Of stderr. */
  readonly noteColors: Colors;
  readonly isInteractive: boolean;
  readonly #stdout: Stream;
  readonly #stderr: Stream;
  readonly #isJson: boolean;
  #hasStatus = false;

  constructor(
    { isJson = false }: { isJson?: boolean } = {},
    stdout: Stream = process.stdout,
    stderr: Stream = process.stderr,
    env: Environment = process.env,
  ) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#isJson = isJson;
    this.colors = pico.createColors(hasColors(stdout, env));
    this.noteColors = pico.createColors(hasColors(stderr, env));
    this.isInteractive = isInteractive(stderr, env);
  }

  /** Whether documents are wanted and not text for people. */
  get isJson(): boolean {
    return this.#isJson;
  }

  /** A line, or lines, of data. May hold colours: what is stored has to be cleaned before. */
  data(text: string): void {
    this.#stdout.write(`${text}\n`);
  }

  /** A document of `--json`, on one line. */
  document(kind: string, content: object): void {
    this.data(jsonText({ version: VERSION, kind, ...content }));
  }

  /** A line for people. */
  note(text: string): void {
    this.status(undefined);
    this.#stderr.write(`${text}\n`);
  }

  /** A line that is written over by the next one; on a terminal only, and as far as it fits. Without colours. */
  status(text: string | undefined): void {
    if (!this.isInteractive || (text === undefined && !this.#hasStatus)) return;
    const { columns = 80 } = this.#stderr;
    this.#stderr.write(`\r\u001b[2K${[...(text ?? '')].slice(0, columns - 1).join('')}`);
    this.#hasStatus = text !== undefined;
  }

  /** What went wrong: in three lines, or as a document on stderr. */
  problem({ exitCode, what, why, hint }: Problem, stack?: string): void {
    this.status(undefined);
    if (this.#isJson) {
      const error = { what, ...(why !== undefined && { why }), ...(hint !== undefined && { hint }) };
      this.#stderr.write(
        `${jsonText({ version: VERSION, kind: 'error', exitCode, ...error, ...(stack && { stack }) })}\n`,
      );
      return;
    }
    const { red, dim } = this.noteColors;
    const more = [
      ...(why === undefined ? [] : [clean(why).trimEnd().replaceAll('\n', '\n  ')]),
      ...(hint === undefined ? [] : [dim(cleanLine(hint))]),
    ];
    this.#stderr.write(`${red('error:')} ${cleanLine(what)}\n${more.map((line) => `  ${line}\n`).join('')}`);
    if (stack !== undefined) this.#stderr.write(`${dim(clean(stack))}\n`);
  }
}

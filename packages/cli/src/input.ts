/** The input of a call as it is given: as text, from a file, or from standard input. */

import { readFileSync } from 'node:fs';
import { CliError, EXIT } from './errors.js';
import { cleanLine } from './output.js';

// JSON that people write: where it is wrong, and how.

/** The value. @throws {CliError} that names line and column of a mistake, and shows it. */
export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const { offset, expected } = firstMistake(text);
    const { line, column, shown } = placeOf(text, offset);
    const found =
      offset >= text.length ? 'it ends' : `there is ${JSON.stringify([...text.slice(offset)][0])}`;
    throw new CliError(
      {
        exitCode: EXIT.usage,
        what: `${source} is no JSON: line ${line}, column ${column}.`,
        why: `Expected ${expected}, but ${found}.\n${shown}`,
        hint: 'Keys and text are in double quotes, and nothing follows the last item.',
      },
      { cause: error },
    );
  }
}

interface Mistake {
  readonly offset: number;
  readonly expected: string;
}

/** Reads as JSON.parse does, and tells where it stops: its own message names no place for some mistakes. */
export function firstMistake(text: string): Mistake {
  const reader = new Reader(text);
  try {
    reader.document();
  } catch (mistake) {
    if (mistake instanceof Mismatch) return mistake;
    throw mistake;
  }
  return { offset: text.length, expected: 'the end' };
}

class Mismatch extends Error implements Mistake {
  constructor(
    readonly offset: number,
    readonly expected: string,
  ) {
    super(expected);
  }
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
/** As far as it is good. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON allows none in text
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  document(): void {
    this.#value();
    if (this.#at < this.text.length) this.#fail('the end');
  }

  /** Without recursion: input may be nested as deep as it likes. */
  #value(): void {
    const open: ('{' | '[')[] = [];
    for (;;) {
      this.#skip(SPACE);
      const opener = this.text[this.#at];
      if (opener === '{' || opener === '[') {
        this.#at += 1;
        this.#skip(SPACE);
        if (this.text[this.#at] !== (opener === '{' ? '}' : ']')) {
          open.push(opener);
          if (opener === '{') this.#key('a key in double quotes, or "}"');
          continue;
        }
        this.#at += 1;
      } else this.#scalar();
      // What follows a value closes what is open, or separates it from the next one.
      for (;;) {
        this.#skip(SPACE);
        const holder = open.at(-1);
        if (holder === undefined) return;
        const next = this.text[this.#at];
        if (next === ',') {
          this.#at += 1;
          this.#skip(SPACE);
          if (holder === '{') this.#key('a key in double quotes');
          break;
        }
        if (next !== (holder === '{' ? '}' : ']')) this.#fail(`"," or "${holder === '{' ? '}' : ']'}"`);
        this.#at += 1;
        open.pop();
      }
    }
  }

  #key(expected: string): void {
    if (this.text[this.#at] !== '"') this.#fail(expected);
    this.#string();
    this.#skip(SPACE);
    if (this.text[this.#at] !== ':') this.#fail('":"');
    this.#at += 1;
  }

  #scalar(): void {
    if (this.text[this.#at] === '"') this.#string();
    else if (!this.#skip(NUMBER) && !this.#skip(WORD)) this.#fail('a value');
  }

  #string(): void {
    this.#skip(STRING);
    if (this.text[this.#at] !== '"') {
      this.#fail(this.text[this.#at] === '\\' ? 'an escape that JSON has' : 'the closing double quote');
    }
    this.#at += 1;
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const length = pattern.exec(this.text)?.[0].length ?? 0;
    this.#at += length;
    return length > 0;
  }

  #fail(expected: string): never {
    throw new Mismatch(this.#at, expected);
  }
}

/** Line and column, counted from 1, and the line with a mark below the place. */
function placeOf(text: string, offset: number): { line: number; column: number; shown: string } {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const start = before.lastIndexOf('\n') + 1;
  const end = text.indexOf('\n', offset);
  const column = offset - start + 1;
  const from = Math.max(start, offset - 40);
  const excerpt = cleanLine(text.slice(from, Math.min(end < 0 ? text.length : end, offset + 20)));
  return { line, column, shown: `${excerpt}\n${' '.repeat(cleanLine(text.slice(from, offset)).length)}^` };
}

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

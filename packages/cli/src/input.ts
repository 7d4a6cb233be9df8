/** Reads the input of a job from an argument, a file or stdin, and reports JSON mistakes with line and column. */

import { readFileSync } from 'node:fs';
import { CliError, EXIT } from './errors.js';
import { cleanLine } from './output.js';

// Parsing of JSON written by hand.

/** Parses JSON. @throws {CliError} with line, column and an excerpt of the first mistake. */
export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const { offset, expected } = firstMistake(text);
    const { line, column, shown } = positionOf(text, offset);
    const found =
      offset >= text.length ? 'the text ends' : `got ${JSON.stringify([...text.slice(offset)][0])}`;
    throw new CliError(
      {
        exitCode: EXIT.usage,
        what: `${source} is not valid JSON (line ${line}, column ${column}).`,
        why: `Expected ${expected}, but ${found}.\n${shown}`,
        hint: 'Put keys and strings in double quotes, and no comma after the last item.',
      },
      { cause: error },
    );
  }
}

interface Mistake {
  readonly offset: number;
  readonly expected: string;
}

/** Returns the first position at which JSON.parse fails: its own message has no position for some mistakes. */
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
/** Matches a string up to its closing quote or first mistake. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON allows none in text
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  document(): void {
    this.#value();
    if (this.#at < this.text.length) this.#fail('the end');
  }

  /** Reads a value without recursion, because input may be nested deeply. */
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
      // After a value comes a closing bracket of an open list or object, or a comma.
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
      this.#fail(this.text[this.#at] === '\\' ? 'a valid escape sequence' : 'the closing double quote');
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

/** Returns line and column, counted from 1, and an excerpt with a mark below the position. */
function positionOf(text: string, offset: number): { line: number; column: number; shown: string } {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const start = before.lastIndexOf('\n') + 1;
  const end = text.indexOf('\n', offset);
  const column = offset - start + 1;
  const from = Math.max(start, offset - 40);
  const excerpt = cleanLine(text.slice(from, Math.min(end < 0 ? text.length : end, offset + 20)));
  return { line, column, shown: `${excerpt}\n${' '.repeat(cleanLine(text.slice(from, offset)).length)}^` };
}

/** Returns the value of `'{…}'`, `@file` or `-` (stdin); undefined for no text. @throws {CliError} unless it is JSON. */
export async function readInput(text: string | undefined): Promise<unknown> {
  if (text === undefined) return undefined;
  if (text === '-') return parseJson(await readStdin(), 'Standard input');
  if (!text.startsWith('@')) return parseJson(text, 'The input');
  const path = text.slice(1);
  try {
    return parseJson(readFileSync(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(
      {
        exitCode: EXIT.usage,
        what: `Input file "${path}" cannot be read.`,
        why: error instanceof Error ? error.message : String(error),
        hint: 'Pass @ and the path of a file, or JSON itself.',
      },
      { cause: error },
    );
  }
}

async function readStdin(): Promise<string> {
  if (process.stdin.isTTY)
    process.stderr.write('Reading JSON from standard input; press Ctrl-D to end it.\n');
  process.stdin.setEncoding('utf8');
  let text = '';
  for await (const part of process.stdin) text += part;
  return text;
}

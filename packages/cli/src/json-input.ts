/** JSON that people write: where it is wrong, and how. */
import { CliError } from './errors/cli-error.js';
import { EXIT } from './errors/exit-codes.js';
import { cleanLine } from './output/text.js';

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

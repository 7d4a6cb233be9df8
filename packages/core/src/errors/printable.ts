/**
 * Text from the store, where anybody may have written it, as logs and messages show it: the one escape for characters that
 * a terminal would obey, or that would make two lines of one. `packages/cli/src/output/text.ts` has the same characters;
 * the CLI loads no code of this package.
 */

/** C0 and C1 controls, line and paragraph separators, and marks that turn the direction of text round. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** The text on one line, with every control character as its escape: `\n`, `\u001b`. */
export function escaped(text: string): string {
  return text.replace(CONTROLS, (character) => SHORT[character] ?? codeOf(character));
}

/** The same of a text that may have several lines: line feeds and tabs stay. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (character) =>
    character === '\n' || character === '\t' ? character : (SHORT[character] ?? codeOf(character)),
  );
}

function codeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

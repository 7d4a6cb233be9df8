/**
 * Text for terminals: what is stored may hold anything. The characters are those that `@umbel/core` escapes in logs and
 * messages (`errors/printable.ts`), which this program does not load: it loads the app's copy.
 */

/** C0 and C1 controls but line feeds and tabs, other line separators, and marks that turn the direction of text round. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The text without characters that a terminal would obey. */
export function clean(text: string): string {
  return text.replaceAll(CONTROLS, '');
}

/** The same on one line. */
export function cleanLine(text: string): string {
  return clean(text)
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll('\t', ' ');
}

/** The value as JSON that a terminal may show: what JSON leaves as it is and a terminal would obey is escaped. */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent) ?? 'null';
  return text.replaceAll(
    CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What `core` says a program is to call, as the command that does it here. */
const COMMANDS: readonly (readonly [RegExp, string])[] = [
  [/app\.result\('([^']*)'\)\.resume\(\)/g, 'umbel runs resume $1'],
  [/app\.result\(id\)\.resume\(\)/g, 'umbel runs resume'],
  [/app\.deadLetters\.replay\('([^']*)', \{ input \}\)/g, 'umbel dead replay $1 --input'],
  [/app\.deadLetters\.replay\b(?:\('([^']*)'\))?/g, 'umbel dead replay $1'],
  [/app\.jobs\.list\(\{ state: '(\w+)' \}\)/g, 'umbel jobs list --state $1'],
  [/app\.inspect\.queues\(\)/g, 'umbel inspect queues'],
  [/app\.worker\(\{ queues: \['([^']*)'\] \}\)/g, 'umbel worker -q $1'],
  [/app\.worker\(\{ allowEviction: true \}\)/g, 'umbel worker --allow-eviction'],
  [/app\.repair\(\)/g, 'the next repair of a running worker'],
];

/** A message of `core` for people at a command line, who have commands and no program. */
export function inCommands(text: string): string {
  return COMMANDS.reduce(
    (said, [call, command]) =>
      said.replaceAll(call, (_, id: unknown) =>
        command.replace('$1', () => (typeof id === 'string' ? id : '')).trimEnd(),
      ),
    text,
  );
}

/** `850ms`, `1.2s`, `3m05s`, `2h07m`. */
export function shortDuration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h${two(Math.floor((seconds % 3600) / 60))}m`;
}

/** `1 job`, `2 jobs`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/**
 * How a secret looks in text that was made of it: within JSON, as `util.inspect` and `console.log` show it, in an address.
 * `masking.ts` hides them all. What a handler encodes otherwise, such as base64, is not recognised.
 */
import { inspect } from 'node:util';
import { escaped, printable } from '../errors/printable.js';

/** All renderings of such a secret are the secret itself. */
const PLAIN = /^[A-Za-z0-9_.-]*$/;

/** Of longer ones, only what is usual is made: each rendering is searched for in each text. */
const LONGEST = 100_000;

/** A piece of a secret that is worth hiding by itself: a shorter one is too common. */
const SHORTEST_PIECE = 8;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const INSPECTED = /[\\\u0000-\u001f\u007f-\u009f]/g;

/** The secret as it is, and as others show it; each once. Their number does not grow with the secret. */
export function renderingsOf(secret: string): ReadonlySet<string> {
  const shown = new Set([secret]);
  if (PLAIN.test(secret)) return shown;
  const json = inJson(secret);
  shown.add(json);
  addInspected(shown, secret);
  if (secret.length > LONGEST) return shown;
  // JSON in a value of JSON, or in an object that is logged.
  shown.add(inJson(json));
  addInspected(shown, json);
  shown.add(escaped(secret)).add(printable(secret));
  addEncoded(shown, secret);
  addEncoded(shown, json);
  return shown;
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** In any of the three quotes that `util.inspect` chooses from: by the rest of the text, too. */
function addInspected(shown: Set<string>, secret: string): void {
  const whole = inspected(secret);
  shown.add(whole).add(whole.replaceAll("'", "\\'"));
  // A long text of several lines, within an object, is shown line by line.
  const lines = secret.split('\n', MOST_LINES);
  if (lines.length === 1) return;
  for (const [index, line] of lines.entries()) {
    if (line.length < SHORTEST_PIECE) continue;
    const end = index < lines.length - 1 ? '\\n' : '';
    const text = inspected(line);
    shown.add(`${text}${end}`);
    shown.add(`${text.replaceAll("'", "\\'")}${end}`);
  }
}

/** Of a secret; more than a private key has. */
const MOST_LINES = 200;

/** As the quotes of a literal hold it, but for the quotes themselves. */
function inspected(text: string): string {
  return text.replace(INSPECTED, (character) => inspect(character).slice(1, -1));
}

/** As the parts of an address. */
function addEncoded(shown: Set<string>, secret: string): void {
  let component: string;
  try {
    component = encodeURIComponent(secret);
  } catch {
    return; // half a character: nothing else encodes it either
  }
  const strict = component.replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  const url = new URL('http://host');
  url.password = secret;
  shown.add(url.password);
  url.pathname = `/${secret}`;
  shown.add(url.pathname.slice(1));
  url.search = secret;
  shown.add(url.search.slice(1));
  for (const text of [
    component,
    strict,
    encodeURI(secret),
    new URLSearchParams([['', secret]]).toString().slice(1),
  ]) {
    shown.add(text);
    shown.add(text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()));
  }
}

/** A text that is cut, also with the end of its colour. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a colour ends with
const CUTS = /['"`](?:\u001b\[\d+m)?\.\.\. \d+ more characters?/g;
/** Cuts that are looked at in one text. */
const MOST_CUTS = 100;
/** Fewer characters of a secret tell nothing. */
const PROBE = 4;

/** Where `util.inspect` has cut a long string within one of the secrets: from where to where its beginning stands. */
export function cutWithin(
  text: string,
  secrets: readonly string[],
): readonly { readonly start: number; readonly end: number }[] {
  const found: { start: number; end: number }[] = [];
  let looked = 0;
  for (const { index: end } of text.matchAll(CUTS)) {
    looked += 1;
    if (looked > MOST_CUTS) break;
    const start = secrets.map((secret) => startOf(text, end, secret)).find((at) => at !== undefined);
    if (start !== undefined) found.push({ start, end });
  }
  return found;
}

/** Where the beginning of a secret stands that goes on to `end`, and is not the whole of it. */
function startOf(text: string, end: number, secret: string): number | undefined {
  const probe = secret.slice(0, PROBE);
  let at = text.indexOf(probe, Math.max(0, end - secret.length + 1));
  while (at >= 0 && at + PROBE <= end) {
    if (secret.startsWith(text.slice(at, end))) return at;
    at = text.indexOf(probe, at + 1);
  }
  return undefined;
}

/**
 * This module keeps texts unchanged in columns that would change or refuse them. `jsonb` sorts keys and rewrites numbers, so
 * JSON texts are stored whole, as one string. No column takes U+0000 or half of a surrogate pair, so they are marked.
 */

/** Key of a JSON text that is stored whole. */
const TEXT_KEY = 'umbel:text';

/** Returns the JSON value that holds a text. */
export function wrapText(text: string): string {
  return JSON.stringify({ [TEXT_KEY]: text });
}

/** Returns the text in a JSON text, or the same text if it holds none. */
export function unwrapText(json: string): string {
  if (!json.startsWith(`{"${TEXT_KEY}"`)) return json;
  const value = JSON.parse(json) as Record<string, unknown>;
  const text = value[TEXT_KEY];
  return typeof text === 'string' ? text : json;
}

/** Returns the value of the text in a value, or the same value if it holds none. */
export function unwrapValue(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const text = (value as Record<string, unknown>)[TEXT_KEY];
  return typeof text === 'string' ? (JSON.parse(text) as unknown) : value;
}

/** First character of a mark; four hexadecimal digits follow. A private character that texts hardly use. */
const SIGN = '\ue000';
const ESCAPED = /(?<!\\)((?:\\\\)*)\\u(0000|d[89a-f][0-9a-f]{2})/gi;
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is looked for
const RAW = /\u0000|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const MARK = /\ue000([0-9a-f]{4})/g;

const jsonParams = new Map<string, ReadonlySet<number>>();

/** Returns the numbers of the parameters of a statement that are JSON. */
function jsonParamsOf(statement: string): ReadonlySet<number> {
  let known = jsonParams.get(statement);
  if (known === undefined) {
    known = new Set([...statement.matchAll(/\$(\d+)::jsonb/g)].map(([, number]) => Number(number)));
    jsonParams.set(statement, known);
  }
  return known;
}

/** Returns the parameters of a statement, with marks for what the store refuses. */
export function encodeParams(
  statement: string,
  params: readonly unknown[] | undefined,
): readonly unknown[] | undefined {
  return params?.map((value, index) => encode(value, jsonParamsOf(statement).has(index + 1)));
}

function encode(value: unknown, isJson: boolean): unknown {
  if (Array.isArray(value)) return value.map((item) => encode(item, false));
  if (typeof value !== 'string') return value;
  const marked = value.includes(SIGN) ? value.replaceAll(SIGN, `${SIGN}e000`) : value;
  if (!isJson) return marked.replace(RAW, markOf);
  if (!marked.includes('\\u')) return marked;
  return marked.replace(
    ESCAPED,
    (_, before: string, digits: string) => `${before}${SIGN}${digits.toLowerCase()}`,
  );
}

function markOf(character: string): string {
  return `${SIGN}${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Returns rows with the texts that were stored. */
export function decodeRows<Row>(rows: Row[]): Row[] {
  return rows.some(hasMark) ? rows.map((row) => decode(row) as Row) : rows;
}

function hasMark(value: unknown): boolean {
  if (typeof value === 'string') return value.includes(SIGN);
  return (
    typeof value === 'object' && value !== null && Object.entries(value).some((entry) => entry.some(hasMark))
  );
}

function decode(value: unknown): unknown {
  if (typeof value === 'string')
    return value.replace(MARK, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [decode(key), decode(item)]));
}

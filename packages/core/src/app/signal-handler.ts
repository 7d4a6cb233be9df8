/**
 * `signalHandler`: a fetch handler that receives signals over HTTP, from links in mails and from webhooks. A GET shows what a
 * link decides, and a POST decides: programs that scan mails open every link.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { InvalidOptionError, isUmbelError, ValidationError } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames, positiveMs } from '../base/option-checks.js';
import { currentFunction } from '../base/test-override.js';
import { isPlainObject } from '../base/text.js';
import type { Duration } from '../base/time.js';
import { isSignalKey } from '../job/signal-wait.js';
import { isName } from '../task/option-checks.js';
import { type AnySignal, checkSignalKey, type SignalAnswer, SignalObject } from '../task/signal.js';
import { type App, coreOf } from './app.js';

/** Options of `signalHandler`: `secret`, `authorize` or both. */
export interface SignalHandlerOptions {
  /**
   * Signs links, at least 32 characters, the same in every process. In a list, the first one signs and all are accepted, so
   * that a secret can be replaced while its links are in use.
   */
  secret?: string | readonly string[] | undefined;
  /**
   * Decides whether a request without a link may send the signal, for example by its session. Such a request is a POST with
   * the query parameters `signal` and `key` and a JSON body.
   */
  authorize?: ((request: Request, target: SignalTarget) => boolean | Promise<boolean>) | undefined;
  /** Maximum size of a body, in bytes. Default 64 KiB. */
  maxBytes?: number | undefined;
}

/** The signal that a request sends. */
export interface SignalTarget {
  readonly name: string;
  readonly key: string;
}

/** Options of a link. */
export interface SignalLinkOptions<Sent> {
  /** How long the link is valid. */
  expires: Duration;
  /** The payload that the link sends. Without it, the body of the POST is the payload. */
  payload?: Sent;
}

/** A signal of which the payload's type is known. */
type SentBy<S extends AnySignal> = S extends { readonly '~payload': { readonly sent: infer Sent } }
  ? Sent
  : never;

/**
 * Handles requests for signals. It can be mounted in any server that speaks `Request` and `Response`.
 * @example
 * const signals = signalHandler(app, { secret: 'a long secret of 32 characters…' });
 * const url = signals.link('https://shop.example/signals', paid, 'order-17', { expires: '7d' });
 */
export interface SignalHandler {
  (request: Request): Promise<Response>;
  /**
   * Returns a link that sends this signal to the wait with this key, and nothing else. The token in it is signed, not
   * encrypted: whoever has the link can read and use it.
   * @throws {InvalidOptionError} without a `secret`, or if an option or the URL is invalid.
   */
  link<S extends AnySignal>(
    url: string | URL,
    signal: S,
    key: string,
    options: SignalLinkOptions<SentBy<S>>,
  ): string;
}

const OPTIONS: OptionNames<SignalHandlerOptions> = { secret: true, authorize: true, maxBytes: true };
const LINK: OptionNames<SignalLinkOptions<unknown>> = { expires: true, payload: true };
const DEFAULT_MAX_BYTES = 65_536;
const MIN_SECRET_CHARACTERS = 32;
const MAX_TOKEN_CHARACTERS = 8192;
/** Query parameters. */
const PARAMETER = { token: 'token', signal: 'signal', key: 'key' } as const;

/** The permission that a token contains. Short names, because it is a part of a URL. */
interface Grant {
  readonly s: string;
  readonly k: string;
  /** When it expires, in milliseconds since 1970. */
  readonly e: number;
  /** The payload, in a list because it may be absent. */
  readonly p?: readonly [payload: unknown];
}

/**
 * Returns a handler of requests for the signals of an app.
 * @throws {InvalidOptionError} without `secret` and `authorize`, or if an option is invalid.
 *
 * @example
 * const signals = signalHandler(app, { secret: 'a long secret of 32 characters…' });
 * const answer = await signals(new Request('https://shop.example/signals?token=…', { method: 'POST' }));
 */
export function signalHandler(app: App<never>, options: SignalHandlerOptions): SignalHandler {
  const { secret, authorize, maxBytes = DEFAULT_MAX_BYTES } = checkOptions(options, OPTIONS);
  const secrets = secretsOf(secret);
  if (secrets.length === 0 && authorize === undefined)
    throw new InvalidOptionError('options', 'an object with `secret`, `authorize` or both', options);
  if (authorize !== undefined && typeof authorize !== 'function')
    throw new InvalidOptionError('authorize', 'a function', authorize);
  checkInteger('maxBytes', maxBytes, 1, 512 * 1_048_576);
  const handler = new Handler(app, secrets, authorize, maxBytes);
  const link: SignalHandler['link'] = (url, signal, key, linkOptions) =>
    handler.link(url, signal, key, linkOptions);
  return Object.assign((request: Request) => handler.handle(request), { link });
}

function secretsOf(secret: SignalHandlerOptions['secret']): readonly string[] {
  const secrets = secret === undefined ? [] : typeof secret === 'string' ? [secret] : secret;
  if (!Array.isArray(secrets) || (secret !== undefined && secrets.length === 0))
    throw new InvalidOptionError('secret', 'text, or a list of texts', typeof secret);
  for (const each of secrets as readonly unknown[])
    if (typeof each !== 'string' || each.length < MIN_SECRET_CHARACTERS)
      throw new InvalidOptionError(
        'secret',
        `text of at least ${MIN_SECRET_CHARACTERS} characters`,
        typeof each,
      );
  return secrets;
}

class Handler {
  readonly #app: App<never>;
  readonly #secrets: readonly string[];
  readonly #authorize: SignalHandlerOptions['authorize'];
  readonly #maxBytes: number;

  constructor(
    app: App<never>,
    secrets: readonly string[],
    authorize: SignalHandlerOptions['authorize'],
    maxBytes: number,
  ) {
    this.#app = app;
    coreOf(app); // throws for another value
    this.#secrets = secrets;
    this.#authorize = authorize;
    this.#maxBytes = maxBytes;
  }

  link(url: string | URL, signal: AnySignal, key: string, options: SignalLinkOptions<unknown>): string {
    const [secret] = this.#secrets;
    if (secret === undefined) throw new InvalidOptionError('secret', 'set, because it signs links', secret);
    if (!(signal instanceof SignalObject)) throw new InvalidOptionError('signal', 'a signal', signal);
    const { expires, payload } = checkOptions(options, LINK);
    const grant: Grant = {
      s: signal.name,
      k: checkSignalKey('key', key),
      e: this.#now() + positiveMs(expires, 'expires'),
      ...(payload !== undefined && { p: [payload] }),
    };
    const text = Buffer.from(JSON.stringify(grant)).toString('base64url');
    const token = `${text}.${this.#macOf(secret, text).toString('base64url')}`;
    if (token.length > MAX_TOKEN_CHARACTERS)
      throw new InvalidOptionError(
        'payload',
        'short enough for a URL: put it into the body of the POST',
        payload,
      );
    if (!URL.canParse(String(url))) throw new InvalidOptionError('url', 'an absolute URL', url);
    const whole = new URL(url);
    whole.searchParams.set(PARAMETER.token, token);
    return whole.href;
  }

  async handle(request: Request): Promise<Response> {
    const isHtml = wantsHtml(request);
    try {
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      if (!isRead && request.method !== 'POST')
        return answerOf(isHtml, 405, 'method-not-allowed', 'Use GET or POST.', { allow: 'GET, HEAD, POST' });
      const query = new URL(request.url).searchParams;
      const token = query.get(PARAMETER.token) ?? bearerOf(request);
      if (token !== undefined) return await this.#byLink(request, token, isRead, isHtml);
      return await this.#byAuthorization(request, query, isRead, isHtml);
    } catch (error) {
      return errorAnswer(error, isHtml);
    }
  }

  async #byLink(request: Request, token: string, isRead: boolean, isHtml: boolean): Promise<Response> {
    const grant = this.#grantIn(token);
    if (grant === undefined) return answerOf(isHtml, 403, 'invalid-link', 'This link is not valid.');
    if (this.#now() >= grant.e) return answerOf(isHtml, 410, 'expired-link', 'This link has expired.');
    const target = { name: grant.s, key: grant.k };
    if (isRead) return this.#show(target, grant, isHtml);
    if (grant.p !== undefined) return this.#send(target, grant.p[0], isHtml);
    const body = await readBody(request, this.#maxBytes);
    return this.#send(target, body, isHtml);
  }

  async #byAuthorization(
    request: Request,
    query: URLSearchParams,
    isRead: boolean,
    isHtml: boolean,
  ): Promise<Response> {
    const [name, key] = [query.get(PARAMETER.signal), query.get(PARAMETER.key)];
    const isTarget = isName(name) && isSignalKey(key);
    if (this.#authorize === undefined || !isTarget || isRead)
      return answerOf(isHtml, 403, 'invalid-link', 'This link is not valid.');
    const target = { name: String(name), key };
    // A form of another site cannot send this type, so it cannot use the session of the user.
    if (!isJson(request))
      return answerOf(isHtml, 415, 'unsupported-type', 'Send the payload as application/json.');
    if ((await this.#authorize(request, target)) !== true)
      return answerOf(isHtml, 403, 'not-authorized', 'You may not send this signal.');
    return this.#send(target, await readBody(request, this.#maxBytes), isHtml);
  }

  /** Shows what a link decides. Changes nothing. */
  async #show({ name, key }: SignalTarget, grant: Grant, isHtml: boolean): Promise<Response> {
    const { items } = await this.#app.signals.waiting({ name, key });
    const isOpen = items.length > 0;
    if (!isHtml) return json(200, { signal: name, key, isOpen });
    const state = isOpen ? 'It is still open.' : 'Nobody waits for it now.';
    const facts = `<p>Signal <b>${escapeHtml(name)}</b> for <b>${escapeHtml(key)}</b>. ${state}</p>`;
    if (grant.p === undefined) return page(200, `${facts}<p>POST the payload to this address.</p>`);
    const payload = `<pre>${escapeHtml(JSON.stringify(grant.p[0], undefined, 2))}</pre>`;
    return page(200, `${facts}${payload}<form method="post"><button>Confirm</button></form>`);
  }

  async #send({ name, key }: SignalTarget, payload: unknown, isHtml: boolean): Promise<Response> {
    const answer = await this.#app.signals.send(name, key, payload);
    const [status, text] = ANSWERS[answer];
    return isHtml ? page(status, `<p>${text}</p>`) : json(status, { answer });
  }

  #grantIn(token: string): Grant | undefined {
    if (token.length > MAX_TOKEN_CHARACTERS) return undefined;
    const [text = '', mac = '', ...rest] = token.split('.');
    const given = Buffer.from(mac, 'base64url');
    // Each secret is tried, in constant time: how long this takes says nothing about the signature.
    let isValid = false;
    for (const secret of this.#secrets) {
      const expected = this.#macOf(secret, text);
      if (given.length === expected.length && timingSafeEqual(given, expected)) isValid = true;
    }
    if (!isValid || rest.length > 0) return undefined;
    const grant: unknown = JSON.parse(Buffer.from(text, 'base64url').toString()); // this app has signed it
    return isPlainObject(grant) && isName(grant.s) && isSignalKey(grant.k)
      ? (grant as unknown as Grant)
      : undefined;
  }

  /** The name of the app and the purpose are signed as well, so that a token is of no use anywhere else. */
  #macOf(secret: string, text: string): Buffer {
    return createHmac('sha256', secret).update(`umbel.signal.1\0${this.#app.name}\0${text}`).digest();
  }

  #now(): number {
    return currentFunction(coreOf(this.#app)).measured.clock.now();
  }
}

/** Status and text for each answer to a signal. */
const ANSWERS: Readonly<Record<SignalAnswer, readonly [status: number, text: string]>> = {
  accepted: [200, 'Thank you. Your answer was accepted.'],
  duplicate: [409, 'This was answered before. Your answer has no effect.'],
  tooLate: [410, 'This is over. Your answer came too late and has no effect.'],
};

class BodyError extends Error {
  constructor(
    readonly status: 400 | 413,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Returns the JSON value of a body; undefined for an empty one. @throws {BodyError} if it is too long or not JSON. */
async function readBody(request: Request, maxBytes: number): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // The length in the header may be missing or wrong.
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > maxBytes)
      throw new BodyError(413, 'body-too-long', `The body has more than ${maxBytes} bytes.`);
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    throw new BodyError(400, 'invalid-json', 'The body is not JSON.');
  }
}

function errorAnswer(error: unknown, isHtml: boolean): Response {
  if (error instanceof BodyError) return answerOf(isHtml, error.status, error.code, error.message);
  if (error instanceof ValidationError) {
    if (isHtml) return page(422, '<p>The payload is not valid.</p>');
    return json(422, { error: 'invalid-payload', issues: error.issues });
  }
  if (isUmbelError(error, 'CONNECTION'))
    return answerOf(isHtml, 503, 'unavailable', 'Try again in a moment.', { 'retry-after': '5' });
  throw error;
}

function answerOf(
  isHtml: boolean,
  status: number,
  error: string,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return isHtml
    ? page(status, `<p>${escapeHtml(text)}</p>`, headers)
    : json(status, { error, message: text }, headers);
}

/** The URL contains the token: no other site gets it, and no cache keeps it. */
const HEADERS = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

function json(status: number, value: object, headers: Readonly<Record<string, string>> = {}): Response {
  return Response.json(value, { status, headers: { ...HEADERS, ...headers } });
}

function page(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Response {
  const html = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>Signal</title><body>${body}</body></html>`;
  return new Response(html, {
    status,
    headers: {
      ...HEADERS,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy':
        "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
      ...headers,
    },
  });
}

function wantsHtml(request: Request): boolean {
  return (request.headers.get('accept') ?? '').includes('text/html');
}

function isJson(request: Request): boolean {
  return /^application\/json\b/i.test(request.headers.get('content-type') ?? '');
}

function bearerOf(request: Request): string | undefined {
  const [, token] = /^Bearer ([\w.-]+)$/i.exec(request.headers.get('authorization') ?? '') ?? [];
  return token;
}

const HTML: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => HTML[character] ?? '');
}

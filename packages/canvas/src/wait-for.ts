/** This module builds waits for signals: `waitFor`. `worker/signal-wait.ts` of the core runs them. */
import {
  type AnySignal,
  type Duration,
  InvalidOptionError,
  type PassingResult,
  type PayloadOf,
  type Signature,
} from '@umbel/core';
import {
  checkOptions,
  checkSignalKey,
  durationMs,
  isPlainObject,
  jsonIssues,
  kindOf,
  type OptionNames,
  type Prettify,
  SENDER,
  SignalObject,
} from '@umbel/core/internal';
import { Composition } from './composition.js';
import type { WaitForExpression } from './expression.js';
import { CanvasError } from './part.js';

/** A value that JSON carries, or a type that the compiler prints for one that it does not. */
type Plain = string | number | boolean | null | object;

/** Options of `waitFor`. */
export interface WaitForOptions<Key extends string, Late extends Plain, Into extends string> {
  /**
   * The key of the wait, which senders of the signal name: the name of a key of the previous result that holds it (text or
   * a number), or `{ text }` for a fixed text. Default: the id of the run. Two waits must not have the same signal and key
   * at the same time; the later one fails with a `SignalConflictError`.
   */
  key?: Key | { readonly text: string };
  /** How long to wait, counted from the end of the step before; `'never'` for a wait without end. */
  timeout: Duration | 'never';
  /** The result if no signal comes in time. Default `'fail'`: the wait fails with a `SignalTimeoutError`. */
  onTimeout?: Late;
  /** Passes the previous result on, with the payload under this key. Without it, the payload is the result. */
  into?: Into;
}

const OPTIONS: OptionNames<WaitForOptions<string, Plain, string>> = {
  key: true,
  timeout: true,
  onTimeout: true,
  into: true,
};

/** The keys that are known to the compiler: none for a fixed text, for which it infers `string`. */
type KnownKey<Key extends string> = string extends Key ? never : Key;

/** The keys that the wait needs in the previous result. */
type NeedsOfWait<Key extends string, Into extends string> = [KnownKey<Key>] extends [never]
  ? [Into] extends [never]
    ? unknown
    : object
  : { [K in Key]: string | number };

/** A wait whose result is the previous result with one more key. */
type PassingWait<Needs, Added> = Signature<'waitFor', Needs, Prettify<Omit<Needs, keyof Added> & Added>> & {
  readonly '~gives': PassingResult<'waitFor', Prettify<Omit<Needs, keyof Added> & Added>, Added>;
};

/**
 * The step for the options. Its result is the payload or the value after the timeout: written out, not as an alias, so that
 * messages of the compiler show it.
 */
type Wait<S extends AnySignal, Key extends string, Late, Into extends string> = [Into] extends [never]
  ? Signature<'waitFor', NeedsOfWait<Key, Into>, PayloadOf<S> | Exclude<Late, 'fail'>>
  : PassingWait<NeedsOfWait<Key, Into>, { [K in Into]: PayloadOf<S> | Exclude<Late, 'fail'> }>;

/**
 * Waits for a signal, without a worker. The result is the payload of the signal; with `into` it is the previous result with
 * the payload in it. A signal that was sent before the wait starts is taken at once.
 *
 * The first of signal, timeout, revocation and expiry decides the wait; later ones have no effect.
 * @throws {CanvasError} if `signal` is not a signal of an app, or `into` is not allowed as a key.
 * @throws {InvalidOptionError} if an option is invalid or missing.
 *
 * @example
 * const paid = app.signal({ name: 'order.paid', payload: z.object({ receipt: z.string() }) });
 * const order = chain(reserve, waitFor(paid, { key: 'id', timeout: '3d', into: 'payment' }), ship);
 */
export function waitFor<
  S extends AnySignal,
  Key extends string = never,
  Late extends Plain = 'fail',
  Into extends string = never,
>(signal: S, options: WaitForOptions<Key, Late, Into>): Wait<S, NoInfer<Key>, NoInfer<Late>, NoInfer<Into>>; // the context of the call decides none of them
export function waitFor(signal: unknown, options: WaitForOptions<string, Plain, string>): unknown {
  if (!(signal instanceof SignalObject)) {
    throw new CanvasError(
      `waitFor needs a signal, got ${kindOf(signal)}. Declare one: app.signal({ name: 'order.paid', payload }).`,
    );
  }
  const { key, timeout, onTimeout, into } = checkOptions(options, OPTIONS, { example: "{ timeout: '7d' }" });
  const waitKey = keyOf(key);
  const late = onTimeout === 'fail' ? undefined : onTimeout;
  if (timeout === 'never' && late !== undefined)
    throw new InvalidOptionError('onTimeout', "absent, since `timeout` is 'never'", late);
  const [issue] = jsonIssues(late, 'onTimeout');
  if (issue !== undefined)
    throw new InvalidOptionError('onTimeout', `a value that JSON carries (${issue.message})`, late);
  if (into !== undefined && (typeof into !== 'string' || into === ''))
    throw new InvalidOptionError('into', 'the name of a key', into);
  const expression: WaitForExpression = {
    kind: 'waitFor',
    signal: signal.name,
    ...(waitKey !== undefined && { key: waitKey }),
    timeout: timeoutOf(timeout),
    ...(late !== undefined && { onTimeout: { value: late } }),
    ...(into !== undefined && { into }),
  };
  return new Composition(expression, signal[SENDER]);
}

function keyOf(key: WaitForOptions<string, Plain, string>['key']): WaitForExpression['key'] {
  if (key === undefined) return undefined;
  if (typeof key === 'string' && key !== '') return { from: key };
  if (isPlainObject(key) && Object.keys(key).length === 1 && 'text' in key)
    return { text: checkSignalKey('key.text', key.text as string) };
  throw new InvalidOptionError(
    'key',
    "the name of a key of the previous result, or { text: 'the key' }",
    key,
  );
}

function timeoutOf(timeout: Duration | 'never'): number | 'never' {
  if (timeout === 'never') return timeout;
  const expected = "a time of more than zero such as '7d', or 'never' for a wait without end";
  if (timeout === undefined) throw new InvalidOptionError('timeout', expected, timeout);
  const ms = durationMs(timeout, 'timeout');
  if (ms <= 0) throw new InvalidOptionError('timeout', expected, timeout);
  return ms;
}

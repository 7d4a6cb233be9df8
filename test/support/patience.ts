/**
 * A setup file of every project. What a test waits for may be late on a busy machine. Waits end by the event that they
 * wait for. Their limits are only there for tests that would hang, so that none is short.
 */
import { vi } from 'vitest';
import { compilesQuickly } from './quick-wasm.js';

compilesQuickly();

/** Shorter than the limit of a test, so that the message of the wait is seen. */
const LONGEST_MS = 50_000;

interface Limits {
  readonly timeout?: number;
  readonly interval?: number;
}

function patient(options: number | Limits = {}): Limits {
  const given = typeof options === 'number' ? { timeout: options } : options;
  return { interval: 20, ...given, timeout: Math.max(given.timeout ?? 0, LONGEST_MS) };
}

const { waitFor, waitUntil } = vi;
vi.waitFor = (check, options) => waitFor(check, patient(options));
vi.waitUntil = (check, options) => waitUntil(check, patient(options));

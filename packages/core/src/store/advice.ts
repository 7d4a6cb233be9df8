/** This module adds advice to errors of the store: what to check, and how to fix it. */
import type { Engine } from './engine/engine.js';

/** Returns the reason of an error from its message, or from all messages of an aggregate, such as one per address. */
export function reasonOf(error: Error): string {
  if (error.message !== '') return error.message.replace(/\.$/, '');
  const parts: unknown[] = error instanceof AggregateError ? error.errors : [];
  const reasons = parts.map((part) => (part instanceof Error ? part.message : String(part)));
  return reasons.join(', ') || error.name;
}

/** Returns advice on an error; undefined stands for no answer. For unknown errors it is to check the address. */
export function adviceOn(error: Error | undefined, engine: Engine): string {
  return engine.advise(error) ?? checkAddress(engine);
}

/** Returns the message of an error, with advice if it is known. */
export function advised(error: Error, engine: Engine): string {
  const reason = reasonOf(error);
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && LOST.has(code)) return reason;
  const isAway = code !== undefined && AWAY.has(code);
  const advice = engine.advise(error) ?? (isAway ? checkAddress(engine) : undefined);
  return advice === undefined || reason.includes(advice) ? reason : `${reason}. ${advice}`;
}

/** Codes for an unreachable server. */
const AWAY = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']);
/** Codes that also occur when a reachable store stops. */
const LOST = new Set(['ECONNRESET', 'EPIPE']);

function checkAddress(engine: Engine): string {
  return `Is the store running at ${engine.address}, and is the address right? Set it with \`connection\` or UMBEL_URL.`;
}

/**
 * I7: in the end no job is stuck, no active one is without its lock, no wait for a signal is open, no key belongs to
 * nothing, and nothing outlives its time to live.
 */
import type { Invariant } from './evidence.js';

const ENDED = new Set(['completed', 'failed']);

export const nothingLeft: Invariant = ({ store, isEmptyInTheEnd }) => {
  const locked = new Set(store.locks);
  const left = store.jobs
    .filter(({ state, queue }) => !(state !== undefined && ENDED.has(state)) && queue !== 'umbel.tags')
    .map(({ queue, id, state, name }) => {
      const isDead = state === 'active' && !locked.has(`${queue}:${id}`);
      const where = state === undefined ? 'in no set of its queue' : isDead ? 'active without a lock' : state;
      return `job ${id} (${name}) in queue ${queue} is ${where}`;
    });
  const held = store.locks.map((job) => `the lock of job ${job} is held`);
  const old = isEmptyInTheEnd
    ? store.jobs
        .filter(({ state, queue }) => state !== undefined && ENDED.has(state) && queue !== 'umbel.tags')
        .map(({ id, queue }) => `job ${id} in queue ${queue} has outlived its time to live`)
    : [];
  const open = store.signals
    .filter(({ expires }) => !expires)
    .map(({ key, state }) => `the record of wait ${key} is ${state} and has no time to live`);
  const stray = store.strayKeys.map((key) => `key ${key} belongs to nothing`);
  return [...left, ...old, ...held, ...open, ...stray].map((message) => ({ invariant: 'I7', message }));
};

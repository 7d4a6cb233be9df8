// The ledger: a file to which handlers append a line each. It outlives the process that wrote it, and no queue knows it.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { sumOf } from './plan.mjs';

/** Appends to the ledger of this process, as a handler does. */
export const note = (entry) =>
  appendFileSync(process.env.LEDGER, `${JSON.stringify({ ...entry, at: Date.now(), pid: process.pid })}\n`);

export function readLedger(file) {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** What the ledger tells of header tasks and bodies. */
export function count(entries, { chords, header }) {
  const started = entries.filter(({ event }) => event === 'start').length;
  const ended = entries.filter(({ event }) => event === 'end').length;
  const distinct = new Set(
    entries.filter(({ event }) => event === 'start').map(({ chord, n }) => `${chord}.${n}`),
  );
  const finished = new Set(
    entries.filter(({ event }) => event === 'end').map(({ chord, n }) => `${chord}.${n}`),
  );
  const bodies = new Map();
  for (const { event, chord, sum } of entries) {
    if (event === 'body') bodies.set(chord, [...(bodies.get(chord) ?? []), sum]);
  }
  let right = 0;
  let lost = 0;
  let wrong = 0;
  for (let chord = 0; chord < chords; chord += 1) {
    const sums = bodies.get(chord);
    if (sums === undefined) lost += 1;
    else if (sums.every((sum) => sum === sumOf(chord, header))) right += 1;
    else wrong += 1;
  }
  return {
    started,
    right,
    wrong,
    lost,
    bodiesAgain: [...bodies.values()].filter((sums) => sums.length > 1).length,
    tasksAgain: started - distinct.size,
    cutOff: started - ended,
    neverStarted: chords * header - distinct.size,
    neverEnded: distinct.size - finished.size,
    lastBodyAt: Math.max(0, ...entries.filter(({ event }) => event === 'body').map(({ at }) => at)),
  };
}

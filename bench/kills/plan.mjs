// What is sent and who is killed when: all of it comes from the seed, so that every system gets the same.

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The rounds of a campaign. Each sends its share of the chords and, `killAfterMs` later, kills the worker `victim`:
 * at a moment at which there is work, since a kill of an idle worker shows nothing.
 */
export function makePlan({ seed, chords, kills, workers, header, taskMs, killWindowMs }) {
  const random = randomFrom(seed);
  const between = (low, high) => Math.floor(low + random() * (high - low + 1));
  const rounds = [];
  let next = 0;
  for (let round = 0; round < kills; round += 1) {
    const end = Math.round(((round + 1) * chords) / kills);
    const sent = [];
    for (; next < end; next += 1) {
      sent.push({ chord: next, ms: Array.from({ length: header }, () => between(...taskMs)) });
    }
    rounds.push({ chords: sent, killAfterMs: between(0, killWindowMs), victim: between(0, workers - 1) });
  }
  return rounds;
}

/** What a header task gives, so that the sum tells which results the body had. */
export const resultOf = (chord, n) => chord * 100 + n;

/** The right sum of a chord. */
export const sumOf = (chord, header) =>
  Array.from({ length: header }, (_, n) => resultOf(chord, n)).reduce((total, value) => total + value, 0);

/**
 * Ids of calls and runs. The store has an id many times: in the key of a job and of what belongs to it, in the keys of
 * jobs that wait for it, in sets and in events. So an id is as short as 128 random bits allow, with letters and digits only,
 * which are the same in keys, addresses and shells.
 */
import { randomFillSync } from 'node:crypto';

const SYMBOLS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Of 64 numbers, two give a symbol that others give too: a symbol has 5.94 bits. */
const BITS = 6;
const PAIR = 1 << (2 * BITS);
/** 22 symbols, 130 bits. */
const PAIRS_OF_ID = 11;
const IDS_AT_ONCE = 256;

/** Two symbols for each number below `PAIR`; made with the first id. */
let pairs: readonly string[] = [];
const random = new Uint16Array(IDS_AT_ONCE * PAIRS_OF_ID);
let next = random.length;

function symbolOf(number: number): string {
  return SYMBOLS.charAt((number & (2 ** BITS - 1)) % SYMBOLS.length);
}

/** A new id: 22 letters and digits. */
export function randomId(): string {
  if (next === random.length) {
    if (pairs.length === 0)
      pairs = Array.from({ length: PAIR }, (_, number) => symbolOf(number >> BITS) + symbolOf(number));
    randomFillSync(random);
    next = 0;
  }
  let id = '';
  for (const end = next + PAIRS_OF_ID; next < end; next += 1) id += pairs[(random[next] ?? 0) % PAIR];
  return id;
}

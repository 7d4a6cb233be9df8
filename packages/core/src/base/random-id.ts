/**
 * Generates ids of jobs and runs. The store contains an id many times: in the keys of a job, in the keys of jobs that wait
 * for it, in sets and in events. So an id has about as many random bits as a UUID, and no more. It has letters and digits only, which need
 * no escape in keys, URLs and shells.
 */
import { randomFillSync } from 'node:crypto';

const SYMBOLS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Random bits per symbol. Two of the 64 numbers map to a symbol that another number has too, so 5.94 bits count. */
const BITS = 6;
const PAIR = 1 << (2 * BITS);
/** 21 symbols, 124 bits that count: ten numbers for two symbols each, and one for the last. */
const PAIRS_OF_ID = 10;
const NUMBERS_OF_ID = PAIRS_OF_ID + 1;
const IDS_AT_ONCE = 256;

/** The two symbols for each number below `PAIR`. Created with the first id. */
let pairs: readonly string[] = [];
const random = new Uint16Array(IDS_AT_ONCE * NUMBERS_OF_ID);
let next = random.length;

function symbolOf(number: number): string {
  return SYMBOLS.charAt((number & (2 ** BITS - 1)) % SYMBOLS.length);
}

/** Returns a new id of 21 letters and digits. */
export function randomId(): string {
  if (next === random.length) {
    if (pairs.length === 0)
      pairs = Array.from({ length: PAIR }, (_, number) => symbolOf(number >> BITS) + symbolOf(number));
    randomFillSync(random);
    next = 0;
  }
  let id = '';
  for (const end = next + PAIRS_OF_ID; next < end; next += 1) id += pairs[(random[next] ?? 0) % PAIR];
  id += symbolOf(random[next] ?? 0);
  next += 1;
  return id;
}

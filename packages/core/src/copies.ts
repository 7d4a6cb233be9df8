/** Which copies of this package make apps in this process. */
import { ownLocation } from './own-file.js';

const COPIES = Symbol.for('umbel.copies');

const holder = globalThis as { [COPIES]?: Set<string> };

/** Notes that this copy makes an app. What to say of it if it is not the only one that does. */
export function noteCopy(place: string = ownLocation()): string | undefined {
  holder[COPIES] ??= new Set();
  const copies = holder[COPIES];
  copies.add(place);
  if (copies.size === 1) return undefined;
  return (
    `${copies.size} copies of @umbel/core make apps in this process: ${[...copies].join(', ')}. Compositions and tests know ` +
    'those of one only; `npm ls @umbel/core` shows who brings which'
  );
}

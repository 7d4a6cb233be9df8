/** Which copies of this package make apps in this process. */

const COPIES = Symbol.for('umbel.copies');

const holder = globalThis as { [COPIES]?: Set<string> };

/** Notes that this copy makes an app. What to say of it if it is not the only one that does. */
export function noteCopy(url: string = import.meta.url): string | undefined {
  holder[COPIES] ??= new Set();
  const copies = holder[COPIES];
  copies.add(url.slice(0, url.lastIndexOf('/')));
  if (copies.size === 1) return undefined;
  return (
    `${copies.size} copies of @umbel/core make apps in this process: ${[...copies].join(', ')}. Compositions and tests know ` +
    'those of one only; `npm ls @umbel/core` shows who brings which'
  );
}

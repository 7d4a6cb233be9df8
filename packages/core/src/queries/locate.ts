/** Finding a place in what is sorted, by looking at few items. */

/**
 * The first index from which on `isPast` holds, in a list where it holds for all items behind the first one that it
 * holds for; `size` if for none. Looks near `hint` first.
 */
export async function firstIndex(
  size: number,
  hint: number,
  isPast: (index: number) => Promise<boolean>,
): Promise<number> {
  let low = 0; // it holds for none before
  let high = size; // it holds from here on
  let at = Math.min(Math.max(hint, 0), size);
  // Doubling steps away from the hint, until it is passed.
  if (at < size && (await isPast(at))) {
    high = at;
    for (let step = 1; high > low; step *= 2) {
      at = Math.max(high - step, low);
      if (!(await isPast(at))) {
        low = at + 1;
        break;
      }
      high = at;
    }
  } else if (at < size) {
    low = at + 1;
    for (let step = 1; low < size; step *= 2) {
      at = Math.min(low + step - 1, size - 1);
      if (await isPast(at)) {
        high = at;
        break;
      }
      low = at + 1;
    }
  } else if (size > 0 && !(await isPast(size - 1))) {
    return size;
  } else if (size > 0) {
    high = size - 1;
  }
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await isPast(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

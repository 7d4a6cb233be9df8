/** Calls `send` with 0 … count - 1, so many calls at a time. */
export async function inFlight(count, width, send) {
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      await send(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, lane));
}

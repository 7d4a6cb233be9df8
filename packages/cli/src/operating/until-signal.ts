/** Lets what goes on for ever end by Ctrl-C or SIGTERM, as it is meant to. */

export interface Ending {
  readonly signal: AbortSignal;
  /** Ends it from here. */
  readonly end: () => void;
  /** Listens for signals no more. */
  readonly release: () => void;
}

export function untilSignal(): Ending {
  const controller = new AbortController();
  const end = () => controller.abort();
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  return {
    signal: controller.signal,
    end,
    release: () => {
      process.off('SIGINT', end);
      process.off('SIGTERM', end);
    },
  };
}

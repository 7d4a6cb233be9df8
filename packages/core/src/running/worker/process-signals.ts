/**
 * Ends the workers of this process when it is told to end. One listener for all of them: the first SIGTERM or SIGINT
 * shuts them down, a second one gives up what still runs.
 */

/** What is ended by a signal. */
export interface Stoppable {
  /** Takes no more jobs and waits for those that run, as long as it may. Settles when it is closed. */
  shutDown(signal: NodeJS.Signals): Promise<void>;
  /** Gives up what still runs. */
  abort(): Promise<void>;
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/** As a shell tells that a program was ended by a signal. */
const EXIT_CODES = { SIGTERM: 143, SIGINT: 130 } as const;

const open = new Set<Stoppable>();
let isEnding = false;

/** Ends it by signals from now on; gives a function that stops that. */
export function endWithProcess(worker: Stoppable): () => void {
  if (open.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal);
  open.add(worker);
  return () => {
    open.delete(worker);
    // While ending, a further signal must find its listener, or it would kill the process with jobs half given back.
    if (open.size === 0 && !isEnding) for (const signal of SIGNALS) process.off(signal, onSignal);
  };
}

function onSignal(signal: NodeJS.Signals): void {
  const isOurs = isOnlyListener(signal);
  const code = EXIT_CODES[signal as keyof typeof EXIT_CODES];
  if (isEnding) {
    void settled((worker) => worker.abort()).then(() => leave(isOurs ? code : undefined));
    return;
  }
  isEnding = true;
  void settled((worker) => worker.shutDown(signal)).then(() => leave(isOurs ? 0 : undefined));
}

async function settled(end: (worker: Stoppable) => Promise<void>): Promise<void> {
  await Promise.allSettled([...open].map(end));
}

/** Whether nobody else wants to decide when the process ends. */
function isOnlyListener(signal: NodeJS.Signals): boolean {
  return process.listenerCount(signal) === 1;
}

function leave(code: number | undefined): void {
  isEnding = false;
  for (const signal of SIGNALS) process.off(signal, onSignal);
  if (code !== undefined) process.exit(code);
  if (open.size > 0) for (const signal of SIGNALS) process.on(signal, onSignal);
}

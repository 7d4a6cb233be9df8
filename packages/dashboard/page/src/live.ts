/** Keeps what the page shows up to date: one connection for changes, closed while the tab is hidden. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, addressOf, read } from './api.js';

const listeners = new Set<() => void>();
let source: EventSource | undefined;

/** Without a connection the page asks this often. With one, the server says when: to all pages at once, so they share reads. */
const POLL_MS = 15_000;
const MIN_PAUSE_MS = 1000;

function connect(): void {
  if (document.hidden || source !== undefined) return;
  source = new EventSource(addressOf('api/changes'));
  source.onmessage = notify;
}

function notify(): void {
  for (const listener of listeners) listener();
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    source?.close();
    source = undefined;
  } else {
    connect();
    notify();
  }
});
addEventListener('pagehide', () => source?.close());
setInterval(() => document.hidden || source?.readyState === EventSource.OPEN || notify(), POLL_MS);

export interface Live<Answer> {
  readonly data: Answer | undefined;
  readonly error: Error | undefined;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

/** Reads `path`, and again after each change in the app; nothing without a path. */
export function useLive<Answer>(path: string | undefined): Live<Answer> {
  const [state, setState] = useState<{ path: string | undefined; data?: Answer; error?: Error }>({ path });
  const [isLoading, setLoading] = useState(true);
  const running = useRef<{ path: string | undefined; isAgain: boolean } | undefined>(undefined);

  const load = useCallback(async () => {
    if (path === undefined) return;
    if (running.current?.path === path) {
      running.current.isAgain = true;
      return;
    }
    const run = { path, isAgain: false };
    running.current = run;
    setLoading(true);
    try {
      const data = await read<Answer>(path);
      if (running.current === run) setState({ path, data });
    } catch (error) {
      const problem = error instanceof ApiError ? error : new Error('The dashboard does not answer.');
      if (running.current === run)
        setState(
          (before) =>
            ({ path, error: problem, ...(before.path === path && { data: before.data }) }) as typeof before,
        );
    }
    if (running.current !== run) return;
    setLoading(false);
    setTimeout(() => {
      if (running.current !== run) return;
      running.current = undefined;
      if (run.isAgain) void load();
    }, MIN_PAUSE_MS);
  }, [path]);

  const reload = useCallback(() => {
    running.current = undefined;
    void load();
  }, [load]);

  useEffect(() => {
    connect();
    running.current = undefined;
    void load();
    const listener = () => void load();
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      running.current = undefined;
    };
  }, [load]);

  const isCurrent = state.path === path;
  return {
    data: isCurrent ? state.data : undefined,
    error: isCurrent ? state.error : undefined,
    isLoading,
    reload,
  };
}

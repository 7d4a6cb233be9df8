/**
 * A search that goes on by itself. An answer of the server ends after a tenth of a second, with what it has found; this module
 * reads the next ones until a page is full or very many jobs were searched, and shows what is found meanwhile.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { read } from '../api.js';
import { type Live, useLive } from '../live.js';
import { withQuery } from '../router.js';
import type { Found } from '../types.js';

const PAGE_SIZE = 50;
/** Number of jobs after which the user is asked whether to search further. */
const MAX_READ = 10_000;
/** After a change, a search of several answers begins anew this long after its last beginning at the earliest. */
const RESTART_MS = 15_000;

interface Further<Item> {
  readonly path: string;
  readonly found: Found<Item>;
}

interface Progress {
  readonly path: string;
  readonly startedAt: number;
}

export interface Searched<Item> extends Live<Found<Item>> {
  /** Whether further jobs are being searched. */
  readonly isGoingOn: boolean;
}

/** Searches `path`, and again after each change in the app. */
export function useSearch<Item extends { readonly id: string }>(
  base: string,
  query: Readonly<Record<string, string>>,
): Searched<Item> {
  const path = withQuery(base, query);
  const live = useLive<Found<Item>>(path);
  const first = live.data;
  const [further, setFurther] = useState<Further<Item>>();
  const [isGoingOn, setGoingOn] = useState(false);
  const running = useRef<Progress | undefined>(undefined);

  useEffect(() => {
    if (running.current !== undefined && running.current.path !== path) {
      running.current = undefined;
      setGoingOn(false);
    }
    if (first === undefined) return;
    if (first.cursor === undefined || first.items.length >= PAGE_SIZE) {
      running.current = undefined;
      setGoingOn(false);
      setFurther(undefined);
      return;
    }
    if (running.current !== undefined && Date.now() - running.current.startedAt < RESTART_MS) return;
    const progress = { path, startedAt: Date.now() };
    running.current = progress;
    const goOn = async () => {
      let found: Found<Item> = { ...first, items: [], read: 0 };
      const isNew = further?.path !== path;
      setGoingOn(true);
      try {
        const isFull = () => first.items.length + found.items.length >= PAGE_SIZE;
        while (found.cursor !== undefined && !isFull() && first.read + found.read < MAX_READ) {
          const next = await read<Found<Item>>(withQuery(base, { ...query, cursor: found.cursor }));
          if (running.current !== progress) return;
          found = { ...next, items: [...found.items, ...next.items], read: found.read + next.read };
          if (isNew) setFurther({ path, found });
        }
      } catch {
        // The user can search further from where it ended.
      }
      if (running.current !== progress) return;
      setFurther({ path, found });
      setGoingOn(false);
    };
    void goOn();
  }, [path, first]);
  useEffect(
    () => () => {
      running.current = undefined;
    },
    [],
  );

  const data = first && further?.path === path ? joined(first, further.found) : first;
  return { ...live, data, isGoingOn };
}

/** Returns two answers as one. A job that has moved on in the meantime may be in both. */
function joined<Item extends { readonly id: string }>(first: Found<Item>, further: Found<Item>): Found<Item> {
  const known = new Set(first.items.map(({ id }) => id));
  const { cursor: _cursor, ...facts } = first;
  return {
    ...facts,
    items: [...first.items, ...further.items.filter(({ id }) => !known.has(id))],
    read: first.read + further.read,
    ...(further.cursor !== undefined && { cursor: further.cursor }),
  };
}

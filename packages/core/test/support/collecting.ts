/** Reading a stream of events until something is there. */
import type { AppEvent } from '@umbel/core';

/** What has come when `isEnough` first says so; ends the stream then. */
export async function collect<Event>(
  events: AsyncIterable<Event>,
  isEnough: (all: readonly Event[], last: Event) => boolean,
): Promise<Event[]> {
  const all: Event[] = [];
  for await (const event of events) {
    all.push(event);
    if (isEnough(all, event)) return all;
  }
  return all;
}

/** Enough once so many have come. */
export const count = (wanted: number) => (all: readonly unknown[]) => all.length >= wanted;

/** Enough once events of this type have come so often. */
export const times =
  (type: AppEvent['type'], wanted = 1) =>
  (all: readonly { readonly type: string }[]) =>
    all.filter((event) => event.type === type).length >= wanted;

/** The types of events, in order. */
export const typesOf = (events: readonly { readonly type: string }[]): string[] =>
  events.map(({ type }) => type);

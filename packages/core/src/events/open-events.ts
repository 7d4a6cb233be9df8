/** `app.events`: the events of an app, from a place on. */
import type { AppEvent, EventQuery } from './event.js';
import { EventReader, placeNow, type ReaderParts } from './reader.js';
import { selectionOf } from './selection.js';

/** The events, told as they are asked for. With `'now'` the place is noted at once, and not when the first is asked for. */
export function openEvents(parts: ReaderParts, query: EventQuery): AsyncIterableIterator<AppEvent> {
  const selection = selectionOf(query);
  const { from } = selection;
  const { closed } = parts.store;
  const isClosed = closed.aborted;
  const start = from === 'now' ? placeNow(parts, selection) : Promise.resolve(from);
  start.catch(() => {}); // it is thrown to whoever asks for the first event
  async function* events() {
    if (selection.signal?.aborted) return;
    if (isClosed) parts.store.checkOpen();
    if (closed.aborted) return;
    yield* new EventReader(parts, selection, await start).events(closed);
  }
  return events();
}

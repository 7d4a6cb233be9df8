/**
 * This module reads the events of queues, and waits for them. Events are read in the order of their transactions: an event is
 * left out while an earlier transaction is open, whose events would come before it. Readers that need no order get it at once.
 */
import { performance } from '../../../base/real-timers.js';
import type { QueryRunner, SqlDatabase } from './database.js';
import { EarlyEvents } from './early-events.js';
import { type EndListener, EndNotices, eventsNotified } from './end-notices.js';
import { type EventRow, HELD_LIMIT_MS, type RawEvent, rawEvent } from './event-rows.js';
import { type EventCursor, eventCursorOf, positionUpTo, timeOfMoment } from './positions.js';

/** Number of events that one statement reads. */
const PAGE = 1000;
/** Pause before events are read again that an open transaction holds back. */
const HELD_MS = 10;
/** Longest wait for a notification, after which events are read in any case. */
const LONGEST_WAIT_MS = 10_000;

const EVENT_COLUMNS = `queue, horizon::text AS horizon, id::text AS id, event, data, created_at_ms::text AS at,
  (horizon <= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    OR created_at_ms < extract(epoch FROM clock_timestamp()) * 1000 - ${HELD_LIMIT_MS}) AS "isSafe",
  horizon > pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS "isBehind"`;

const READ_EVENTS = `SELECT place.index::int AS index, e.* FROM unnest($1::text[], $2::bigint[], $3::bigint[])
    WITH ORDINALITY AS place (queue, horizon, id, index)
  CROSS JOIN LATERAL (SELECT ${EVENT_COLUMNS} FROM umbel_event
    WHERE umbel_event.queue = place.queue AND (umbel_event.horizon, umbel_event.id) > (place.horizon, place.id)
    ORDER BY umbel_event.horizon, umbel_event.id LIMIT $4) AS e`;

const START: EventCursor = { horizon: '0', id: '0' };

/** A queue, by its qualified name, and a position in its events. */
interface EventPlace {
  readonly queue: string;
  readonly after: string;
}

/** Events of some queues; `isHeld`: others are there that an open transaction holds back. */
interface EventsRead {
  readonly events: RawEvent[][];
  readonly isHeld: boolean;
}

export interface EventReadsOptions {
  readonly database: SqlDatabase;
  /** Qualified name of the queue that `after` reads. */
  readonly queue: string;
  /** Whether the readers of that queue need the order of its events. */
  readonly isOrdered: boolean;
  /** Runs a statement. It has no rows once the reader is closed. */
  readonly query: QueryRunner;
  /** Returns whether waits are to end. */
  readonly isOver: () => boolean;
  /** Called when events were read whose order is not certain, because a transaction stays open. */
  readonly onLate: () => void;
}

export class EventReads {
  readonly #options: EventReadsOptions;
  readonly #wakes = new Set<() => void>();
  #ends: EndNotices | undefined;
  #early: EarlyEvents | undefined;

  constructor(options: EventReadsOptions) {
    this.#options = options;
  }

  /** Calls a listener with the ids of jobs that have ended. From then on, other events are read a while later. */
  noticeEnds(listener: EndListener): void {
    this.#ends = new EndNotices(this.#options.database, this.#options.queue, listener);
  }

  /** Returns events of the queue after a position. Waits up to `blockMs` for the first event. */
  async after(from: string, blockMs: number): Promise<RawEvent[]> {
    if (!this.#options.isOrdered) return this.#earlyAfter(from, blockMs);
    if (this.#ends !== undefined) return this.#afterWhenDue(this.#ends, from, blockMs);
    const [events = []] = await this.afterAll([{ queue: this.#options.queue, after: from }], PAGE, blockMs);
    return events;
  }

  /** Returns events after positions of several queues. Waits up to `blockMs` for the first event. */
  async afterAll(places: readonly EventPlace[], limit: number, blockMs: number): Promise<RawEvent[][]> {
    const queues = places.map(({ queue }) => queue);
    const cursors = await Promise.all(places.map(({ queue, after }) => this.#cursor(queue, after)));
    return this.#untilThere(new Set(queues), blockMs, () => this.#read(queues, cursors, limit));
  }

  /** Ends all waits. */
  stop(): void {
    for (const wake of this.#wakes) wake();
    this.#ends?.stop();
  }

  async #earlyAfter(from: string, blockMs: number): Promise<RawEvent[]> {
    const { queue } = this.#options;
    if (this.#early?.last !== from) this.#early = new EarlyEvents(from, await this.#cursor(queue, from));
    const early = this.#early;
    const [events = []] = await this.#untilThere(new Set([queue]), blockMs, async () => {
      const rows = await this.#rows([queue], [early.cursor], PAGE);
      return { events: [early.take(rows).map(rawEvent)], isHeld: false };
    });
    return events;
  }

  async #afterWhenDue(ends: EndNotices, from: string, blockMs: number): Promise<RawEvent[]> {
    const { database, queue, isOver } = this.#options;
    if (!isOver()) await database.ready();
    const isUrgent = !isOver() && (await ends.due(blockMs));
    if (isOver()) return [];
    try {
      const { events, isHeld } = await this.#read([queue], [await this.#cursor(queue, from)], PAGE);
      if (isHeld) ends.again(isUrgent, HELD_MS);
      if (events[0]?.length === PAGE) ends.again(true, 0);
      return events[0] ?? [];
    } catch (error) {
      ends.again(true, 0);
      throw error;
    }
  }

  /** Reads until there are events, for up to `blockMs`: again after each notification of one of the queues. */
  async #untilThere(
    names: ReadonlySet<string>,
    blockMs: number,
    read: () => Promise<EventsRead>,
  ): Promise<RawEvent[][]> {
    const { database, isOver } = this.#options;
    const deadline = performance.now() + blockMs;
    // A database that is closed would be opened again.
    if (blockMs > 0 && !isOver()) await database.ready();
    if (blockMs > 0 && !isOver()) await database.listen('bullmq_events');
    for (;;) {
      const notified = eventsNotified(database, blockMs > 0 ? names : undefined, this.#wakes);
      try {
        const found = await read();
        const leftMs = deadline - performance.now();
        if (found.events.some((list) => list.length > 0) || leftMs <= 0 || isOver()) return found.events;
        await notified.within(Math.min(leftMs, found.isHeld ? HELD_MS : LONGEST_WAIT_MS), found.isHeld);
        if (isOver()) return found.events;
      } finally {
        notified.stop();
      }
    }
  }

  async #read(
    queues: readonly string[],
    cursors: readonly EventCursor[],
    limit: number,
  ): Promise<EventsRead> {
    const events: RawEvent[][] = queues.map(() => []);
    const isHeld: boolean[] = queues.map(() => false);
    let isLate = false;
    for (const row of await this.#rows(queues, cursors, limit)) {
      const at = row.index - 1;
      if (!row.isSafe) isHeld[at] = true;
      else if (row.isBehind) isLate = true;
      if (isHeld[at] !== true) events[at]?.push(rawEvent(row));
    }
    if (isLate) this.#options.onLate();
    return { events, isHeld: isHeld.includes(true) };
  }

  async #rows(
    queues: readonly string[],
    cursors: readonly EventCursor[],
    limit: number,
  ): Promise<readonly (EventRow & { readonly index: number })[]> {
    const { rows } = await this.#options.query(READ_EVENTS, [
      queues,
      cursors.map(({ horizon }) => horizon),
      cursors.map(({ id }) => id),
      limit,
    ]);
    return rows;
  }

  async #cursor(queue: string, from: string): Promise<EventCursor> {
    const { query } = this.#options;
    if (from === '$') {
      const text = `SELECT GREATEST(pg_snapshot_xmin(pg_current_snapshot())::text::bigint, (SELECT max(horizon)
        FROM umbel_event WHERE queue = $1
          AND created_at_ms < extract(epoch FROM clock_timestamp()) * 1000 - ${HELD_LIMIT_MS}))::text AS horizon`;
      const { rows } = await query(text, [queue]);
      return rows.length === 0 ? START : (eventCursorOf(positionUpTo(rows[0].horizon, 0)) ?? START);
    }
    const cursor = eventCursorOf(from);
    if (cursor !== undefined) return cursor;
    const text = `SELECT horizon::text AS horizon, id::text AS id FROM umbel_event
      WHERE queue = $1 AND created_at_ms <= $2 ORDER BY horizon DESC, id DESC LIMIT 1`;
    const { rows } = await query(text, [queue, timeOfMoment(from)]);
    return (rows as EventCursor[])[0] ?? START;
  }
}

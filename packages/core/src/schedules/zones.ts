/**
 * This module knows how far the clocks of a time zone are ahead of UTC, and when they shift. It asks the machine's own
 * time zone data and keeps the answers, since one answer takes about a microsecond.
 */

/** A period in which the clocks of a zone run without a shift; moments in milliseconds since 1970. */
export interface ZoneSpan {
  readonly from: number;
  /** The end, which does not belong to the span: the moment of the next shift, or the end of what was asked for. */
  readonly to: number;
  /** What a moment and the time on the clock differ by, in milliseconds: clock time = moment + offset. */
  readonly offset: number;
}

interface Shift {
  readonly at: number;
  /** From then on. */
  readonly offset: number;
}

const SECOND_MS = 1000;
export const DAY_MS = 86_400_000;
/** Shifts are looked up and kept for so long a time at once. */
const WINDOW_MS = 32 * DAY_MS;
/** A shift that is undone within so short a time would go unnoticed; since 1900, no zone had two within three days. */
const PROBE_MS = DAY_MS;
/** There are about 600 names of zones; stored data may hold each of them in capitals and small letters. */
const MAX_ZONES = 1000;
/** Windows of one zone: more than a hundred years. */
const MAX_WINDOWS = 1200;

const zones = new Map<string, Zone>();

/** The zone of this name. @throws {RangeError} if the machine does not know it. */
export function zoneOf(tz: string): Zone {
  let zone = zones.get(tz);
  if (zone === undefined) {
    zone = new Zone(tz);
    if (zones.size >= MAX_ZONES) zones.clear();
    zones.set(tz, zone);
  }
  return zone;
}

/** Whether this machine knows the time zone. */
export function isTimeZone(tz: unknown): tz is string {
  if (typeof tz !== 'string' || tz === '') return false;
  try {
    zoneOf(tz);
    return true;
  } catch {
    return false;
  }
}

export class Zone {
  readonly #format: Intl.DateTimeFormat;
  readonly #isUtc: boolean;
  /** By their place on the time line: the shifts within, after the offset at the beginning. */
  readonly #windows = new Map<number, readonly Shift[]>();

  constructor(tz: string) {
    this.#format = new Intl.DateTimeFormat('en-US', { timeZone: tz, timeZoneName: 'longOffset' });
    this.#isUtc = tz === 'UTC';
  }

  offsetAt(at: number): number {
    if (this.#isUtc) return 0;
    let offset = 0;
    for (const shift of this.#window(Math.floor(at / WINDOW_MS))) if (shift.at <= at) offset = shift.offset;
    return offset;
  }

  /** The spans of the time from `from` to `to`, in order. They meet, and differ in their offsets. */
  spans(from: number, to: number): readonly ZoneSpan[] {
    if (this.#isUtc) return [{ from, to, offset: 0 }];
    const shifts: Shift[] = [{ at: from, offset: this.offsetAt(from) }];
    for (let index = Math.floor(from / WINDOW_MS); index * WINDOW_MS < to; index += 1) {
      for (const shift of this.#window(index)) {
        if (shift.at > from && shift.at < to && shift.offset !== shifts.at(-1)?.offset) shifts.push(shift);
      }
    }
    return shifts.map(({ at, offset }, index) => ({ from: at, to: shifts[index + 1]?.at ?? to, offset }));
  }

  #window(index: number): readonly Shift[] {
    let window = this.#windows.get(index);
    if (window === undefined) {
      window = this.#shiftsFrom(index * WINDOW_MS);
      if (this.#windows.size >= MAX_WINDOWS) this.#windows.clear();
      this.#windows.set(index, window);
    }
    return window;
  }

  #shiftsFrom(start: number): readonly Shift[] {
    const shifts: Shift[] = [{ at: start, offset: this.#askOffset(start) }];
    for (let probe = start + PROBE_MS; probe <= start + WINDOW_MS; probe += PROBE_MS) {
      const offset = this.#askOffset(probe);
      for (let from = probe - PROBE_MS; shifts.at(-1)?.offset !== offset; ) {
        from = this.#firstShift(from, probe);
        shifts.push({ at: from, offset: this.#askOffset(from) });
      }
    }
    return shifts;
  }

  /** The first moment, a whole second, at which the offset is another one than at `from`, as it is at `to` at the latest. */
  #firstShift(from: number, to: number): number {
    const offset = this.#askOffset(from);
    let before = from;
    let after = to;
    while (after - before > SECOND_MS) {
      const middle = before + Math.floor((after - before) / (2 * SECOND_MS)) * SECOND_MS;
      if (this.#askOffset(middle) === offset) before = middle;
      else after = middle;
    }
    return after;
  }

  #askOffset(at: number): number {
    const written = / GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(this.#format.format(at));
    if (written === null) throw new RangeError('Bug in Umbel: an offset from UTC could not be read');
    const [, sign = '+', hours = '0', minutes = '0', seconds = '0'] = written;
    const offset = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * SECOND_MS;
    return sign === '-' ? -offset : offset;
  }
}

/** The pages for newcomers, typed in exactly as they are written, in an empty folder, to the last line. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stopsOf, trimmed, Walk } from '../support/walk.js';

const LONGEST_MS = 180_000;

afterAll(() => Walk.forget());

describe.each(['README.md', 'docs/first-steps.md'])('%s, walked through', (page) => {
  let walk: Walk;
  let isLost = false;

  beforeAll(async () => {
    walk = await Walk.begin();
  }, LONGEST_MS);
  afterAll(() => walk.end());

  const stops = stopsOf(page).map((stop) => ({
    ...stop,
    name: stop.kind === 'file' ? `${stop.file} is written` : stop.text.trim().split('\n').join(' ⏎ '),
  }));

  test('has files and commands', () => {
    expect(new Set(stops.map(({ kind }) => kind))).toEqual(new Set(['file', 'commands']));
  });

  test.each(stops)(
    '$name',
    async (stop) => {
      expect(isLost).toBe(false); // each step needs those before it
      isLost = true;
      if (stop.kind === 'file') walk.write(stop.file, stop.text);
      else {
        const printed = await walk.type(stop.text);
        if (stop.says !== undefined) expect(trimmed(printed)).toBe(trimmed(stop.says));
      }
      isLost = false;
    },
    LONGEST_MS,
  );
});

/** Numbers in the guides are those of the code: each sentence below has to be on its page, with the constant's value. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const KIBIBYTE = 1024;
const MEBIBYTE = 1_048_576;

const sources = ['core', 'canvas', 'testing'].flatMap((name) => {
  const folder = join(root, 'packages', name, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => ({ file: basename(file), text: readFileSync(join(folder, file), 'utf8') }));
});

/** The value of a constant, a product of numbers. @param file its file, where several have a constant of this name */
function constant(name: string, file?: string): number {
  const declaration = new RegExp(`^(?:export )?const ${name} = ([\\d_ *]+);`, 'm');
  const found = sources.flatMap((source) => {
    const [, product] =
      file === undefined || source.file === file ? (declaration.exec(source.text) ?? []) : [];
    return product === undefined ? [] : [product];
  });
  expect(found, `const ${name} in ${file ?? 'one file'}`).toHaveLength(1);
  return (found[0] ?? '').split('*').reduce((value, factor) => value * Number(factor.replaceAll('_', '')), 1);
}

/** The text of a page without the breaks of its lines and the columns of its tables. */
const textOf = (page: string) => readFileSync(join(root, 'docs', page), 'utf8').replaceAll(/\s+/g, ' ');

interface Named {
  readonly name: string;
  readonly file?: string;
  /** What one of the number in the sentence is in the code. */
  readonly unit?: number;
}

test.each<[page: string, sentence: string, constants: readonly Named[]]>([
  ['tasks.md', 'most members in a list, #', [{ name: 'GROUP_MEMBERS' }]],
  ['tasks.md', 'in slices of #', [{ name: 'BULK_SLICE' }]],
  ['tasks.md', 'a task without retries gets up to #', [{ name: 'ATTEMPTS_WHEN_ASKED' }]],
  ['tasks.md', 'after `in` (default # s)', [{ name: 'UNCOUNTED_RETURN_MS', unit: SECOND_MS }]],
  ['tasks.md', 'may take # s, not counted', [{ name: 'LOAD_MS', file: 'pool.ts', unit: SECOND_MS }]],
  ['tasks.md', 'before it is a dead letter. Default #', [{ name: 'MAX_LOST_STARTS' }]],
  ['tasks.md', 'keeps its last # log lines', [{ name: 'KEPT_LOG_LINES' }]],
  ['tasks.md', 'Values shorter than # characters', [{ name: 'MIN_SECRET', file: 'masking.ts' }]],
  ['tasks.md', 'a value may take # MiB', [{ name: 'MAX_EXPANDED_BYTES', unit: MEBIBYTE }]],
  [
    'tasks.md',
    'at most # levels, # errors per list, # in total',
    ['MAX_DEPTH', 'MAX_LISTED', 'MAX_ERRORS'].map((name) => ({ name, file: 'error-record.ts' })),
  ],
  ['tasks.md', 'at most # characters as JSON', [{ name: 'MAX_FIELDS_CHARACTERS' }]],
  ['canvas.md', 'At most # tags of # characters each', [{ name: 'MAX_TAGS' }, { name: 'MAX_TAG' }]],
  ['canvas.md', '`failures` lists them, at most #.', [{ name: 'MAX_FAILURES' }]],
  ['canvas.md', 'More than # equal members', [{ name: 'FOLD' }]],
  ['canvas.md', 'It returns at most #.', [{ name: 'MAX_CHILDREN' }]],
  [
    'canvas.md',
    'up to # members, at the start | stored with the run, in one',
    [{ name: 'MAX_DIRECT_MEMBERS' }],
  ],
  [
    'canvas.md',
    'up to # members, at the start | stored with the run; a worker',
    [{ name: 'MAX_FAN_OUT_MEMBERS' }],
  ],
  ['canvas.md', 'turns them into jobs, # per transaction', [{ name: 'SLICE', file: 'job-tree.ts' }]],
  ['canvas.md', 'the run fails after # minute', [{ name: 'STREAM_LEASE_MS', unit: MINUTE_MS }]],
  ['canvas.md', 'the store keeps the last # ended turns', [{ name: 'KEPT_TURNS' }]],
  [
    'signals.md',
    'is kept for one that starts later (default: # day)',
    [{ name: 'DEFAULT_KEEP_MS', unit: DAY_MS }],
  ],
  ['signals.md', 'Keys are text of 1 to # characters', [{ name: 'MAX_SIGNAL_KEY' }]],
  ['signals.md', 'as JSON of at most # KiB', [{ name: 'DEFAULT_MAX_BYTES', unit: KIBIBYTE }]],
  ['signals.md', 'leaves it to another one. After # s', [{ name: 'UNKNOWN_SIGNAL_MS', unit: SECOND_MS }]],
  ['signals.md', 'only for this page: # characters', [{ name: 'MIN_SECRET_CHARACTERS' }]],
  ['lifecycle.md', '# heartbeats did not arrive', [{ name: 'MISSED_HEARTBEATS' }]],
  ['lifecycle.md', '# hour has passed since its last sign', [{ name: 'SHOW_MISSING_MS', unit: HOUR_MS }]],
  [
    'testing.md',
    'After # s, an `UmbelTestingWarning`',
    [{ name: 'REPORT_MS', file: 'held-time.ts', unit: SECOND_MS }],
  ],
])('docs/%s: %s', (page, sentence, constants) => {
  const pattern = sentence.split('#').map(escaped).join(`(${NUMBER})`);
  const [, ...written] = new RegExp(pattern).exec(textOf(page)) ?? [];
  expect(written.map(numberIn)).toEqual(
    constants.map(({ name, file, unit = 1 }) => constant(name, file) / unit),
  );
});

const WORDS: Readonly<Record<string, number>> = {
  a: 1,
  an: 1,
  three: 3,
  five: 5,
  ten: 10,
  twenty: 20,
  thirty: 30,
};
const NUMBER = `[\\d,]*\\d|${Object.keys(WORDS).join('|')}`;

function numberIn(written: string): number {
  return WORDS[written] ?? Number(written.replaceAll(',', ''));
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

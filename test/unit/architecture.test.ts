/** The direction of imports, and what may not leak into the public types. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const IMPORT = /(?:from|import)\s*\(?\s*'([^']+)'/g;

const importsOf = (file: string): string[] =>
  [...readFileSync(join(root, file), 'utf8').matchAll(IMPORT)].map((match) => match[1] ?? '');

/** Holds the text of modules that are written into projects. */
const TEMPLATES = 'packages/cli/src/commands/init.ts';

const sources = filesBelow('packages', '.ts').filter(
  (file) => /^packages\/[^/]+\/src\//.test(file) && file !== TEMPLATES,
);

const importersOf = (pattern: RegExp): string[] =>
  sources.filter((file) => importsOf(file).some((name) => pattern.test(name)));

describe('imports', () => {
  test('are found at all', () => {
    expect(sources.length).toBeGreaterThan(40);
    expect(importersOf(/^bullmq$/).length).toBeGreaterThan(4);
  });

  test('of bullmq stand in one folder of core and in the memory store only', () => {
    const others = importersOf(/^(bullmq|ioredis)/).filter(
      (file) =>
        !file.startsWith('packages/core/src/store/') && !file.startsWith('packages/testing/src/memory/'),
    );
    expect(others).toEqual([]);
  });

  test('of bullmq name its public index only', () => {
    expect(importersOf(/^bullmq\//)).toEqual([]);
  });

  test('point one way: core knows no other package, canvas only core, and nothing knows testing', () => {
    const outside = (folder: string, allowed: RegExp) =>
      sources
        .filter((file) => file.startsWith(folder))
        .flatMap((file) =>
          importsOf(file).filter((name) => name.startsWith('@umbel/') && !allowed.test(name)),
        );
    expect(outside('packages/core/', /^$/)).toEqual([]);
    expect(outside('packages/canvas/', /^@umbel\/core(\/internal)?$/)).toEqual([]);
    expect(outside('packages/testing/', /^@umbel\/(core|canvas)/)).toEqual([]);
    // The store in memory is loaded by `umbel dev`, if it is installed; see the next test.
    expect(
      outside(
        'packages/cli/',
        /^@umbel\/(core|canvas)(\/internal)?$|^@umbel\/testing\/memory$|^@umbel\/dashboard(\/node)?$/,
      ),
    ).toEqual([]);
    // The dashboard shows that the public interface is enough for such a tool.
    expect(outside('packages/dashboard/', /^@umbel\/core$/)).toEqual([]);
  });

  test('of the command line load nothing heavy before a command runs', () => {
    const importsAtOnce = /^(?:import|export) (?!type )[^;]*?from '([^'.][^']*)'/gm;
    const loaded = sources
      .filter((file) => file.startsWith('packages/cli/'))
      .flatMap((file) =>
        [...readFileSync(join(root, file), 'utf8').matchAll(importsAtOnce)].map((match) => match[1] ?? ''),
      );
    const others = loaded.filter((name) => !name.startsWith('node:'));
    // ts-pattern is small, and only commands that print by kind load it.
    expect([...new Set(others)].sort()).toEqual(['commander', 'picocolors', 'ts-pattern']);
  });

  test('have no circle among files', () => {
    const graph = new Map(
      sources.map((file) => [
        file,
        [
          ...readFileSync(join(root, file), 'utf8').matchAll(
            /^(?:import|export) (?!type )[^;]*?from '(\.[^']+)'/gm,
          ),
        ].map((match) => relative(root, join(root, file, '..', (match[1] ?? '').replace(/\.js$/, '.ts')))),
      ]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, above: string[]): void => {
      if (above.includes(file)) circles.push([...above.slice(above.indexOf(file)), file].join(' → '));
      else if (!done.has(file)) {
        for (const next of graph.get(file) ?? []) visit(next, [...above, file]);
        done.add(file);
      }
    };
    for (const file of sources) visit(file, []);
    expect(circles).toEqual([]);
  });
});

/** The folders of core, in the order in which a job lives: each imports only those before it. */
const ROOMS = [
  ...['base', 'codec', 'timing', 'job', 'workflow', 'task', 'store', 'client', 'control', 'worker'],
  ...['schedule', 'ops', 'app'],
];

/** Public types that name each other: a task returns the handle of a job, whose graph and results name tasks. */
const RECURSIVE_TYPES = ['task/signature.ts', 'task/types/bind.ts', 'task/types/task.ts'].map(
  (file) => `${file} → client/async-result.ts`,
);

describe('the rooms of core', () => {
  const core = 'packages/core/src';
  const inRooms = sources.filter((file) => file.startsWith(`${core}/`)).map((file) => relative(core, file));
  const roomOf = (file: string) => file.split('/')[0] ?? '';

  test('are the ones listed, beside two public integrations and the two entries', () => {
    const found = new Set(inRooms.map(roomOf));
    expect([...found].sort()).toEqual(
      [...ROOMS, 'index.ts', 'internal.ts', 'opentelemetry', 'prometheus'].sort(),
    );
  });

  test('import only the rooms before them, types included', () => {
    // Code of workers is loaded when a worker is made: `import('…')` of it is no import of its room.
    const atOnce = /^(?:import|export) [^;]*?from '(\.[^']+)'/gm;
    const against = inRooms.flatMap((file) => {
      const room = ROOMS.indexOf(roomOf(file));
      if (room < 0) return [];
      return [...readFileSync(join(root, core, file), 'utf8').matchAll(atOnce)]
        .map((match) => join(file, '..', (match[1] ?? '').replace(/\.js$/, '.ts')))
        .filter((imported) => ROOMS.indexOf(roomOf(imported)) > room)
        .map((imported) => `${file} → ${imported}`);
    });
    expect(against.sort()).toEqual(RECURSIVE_TYPES);
  });

  test('export each name once', () => {
    const files = new Map<string, string[]>();
    for (const file of inRooms.filter((each) => each.includes('/'))) {
      const text = readFileSync(join(root, core, file), 'utf8');
      for (const [, name = ''] of text.matchAll(
        /^export (?:abstract |async |declare )*(?:const|function\*?|class|interface|type) (\w+)/gm,
      ))
        files.set(name, [...new Set([...(files.get(name) ?? []), file])]);
    }
    expect(files.size).toBeGreaterThan(500);
    expect([...files].filter(([, of]) => of.length > 1)).toEqual([]);
  });

  test('name nothing by a metaphor', () => {
    const metaphors =
      /\b#?(?:\w*[a-z])?(?:[Tt]eller|[Tt]elling|[Tt]old|[Kk]in|[Gg]ather(?:ed|ing|er)?|[Bb]ell|[Mm]eant|[Ww]anted)(?=[A-Z]|\b)/;
    const declarations = /(?:const|let|function\*?|class|interface|type|readonly) +(#?\w+)/g;
    const named = sources.flatMap((file) =>
      [
        ...readFileSync(join(root, file), 'utf8')
          .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
          .matchAll(declarations),
      ]
        .map(([, name = '']) => name)
        .filter((name) => metaphors.test(name))
        .map((name) => `${file}: ${name}`),
    );
    expect(named).toEqual([]);
  });

  test('name no engine outside its folder', () => {
    /** Where the kinds of stores are listed, and chosen. */
    const lists = ['engine.ts', 'drivers.ts', 'resolve.ts', 'transaction.ts'].map(
      (file) => `${core}/store/engine/${file}`,
    );
    const words = /redis|\blua\b|postgres|pglite|\bsql\b|\bSELECT\b/i;
    const foldersOfEngines = new RegExp(`^${core}/store/engine/(?:redis|postgres|pglite)/`);
    const codeOf = (file: string) =>
      readFileSync(join(root, file), 'utf8')
        .replaceAll(/\/\*[\s\S]*?\*\//g, '')
        .replaceAll(/(?<=^|\s)\/\/.*$/gm, '');
    /** The index exports the functions by which users name their own instances. */
    const exported = /export (?:type )?\{[^}]*\} from '\.\/store\/engine\/[^']*';/g;
    const outside = sources
      .filter((file) => /^packages\/(?:core|canvas)\//.test(file))
      .filter((file) => !foldersOfEngines.test(file) && !lists.includes(file))
      .filter((file) => {
        const code = codeOf(file);
        return words.test(file === `${core}/index.ts` ? code.replaceAll(exported, '') : code);
      });
    expect(outside).toEqual([]);
  });

  test('get no object of BullMQ from the store', () => {
    const reaching = /\bbull\b|\bgetBackend\(/;
    const outside = sources.filter(
      (file) =>
        file.startsWith(`${core}/`) &&
        !file.startsWith(`${core}/store/`) &&
        reaching.test(readFileSync(join(root, file), 'utf8')),
    );
    expect(outside).toEqual([]);
  });

  test('hold files that are worth opening, of one concept each', () => {
    const lines = (file: string) => readFileSync(join(root, file), 'utf8').split('\n').length - 1;
    const entries = /\/(?:index|internal|version|main|parent-watch|typescript-(?:hooks|register))\.ts$/;
    expect(sources.filter((file) => lines(file) < 30 && !entries.test(file))).toEqual([]);
    expect(sources.filter((file) => lines(file) > 600)).toEqual([]);
  });
});

describe('the time', () => {
  /** The code of a file, without its comments. */
  const codeOf = (file: string) =>
    readFileSync(join(root, file), 'utf8')
      .replaceAll(/\/\*[\s\S]*?\*\//g, '')
      .replaceAll(/(?<=^|\s)\/\/.*$/gm, '');
  const using = (pattern: RegExp) => sources.filter((file) => pattern.test(codeOf(file))).sort();

  test('of the machine is read in few places, each with a reason', () => {
    const allowed = {
      'packages/core/src/base/time.ts':
        'the only place of core: the app has it corrected by the time of its store',
      'packages/testing/src/memory/clock.ts':
        'the only place of the store in memory, which relates it to its clock',
      'packages/testing/src/memory/backend-admin.ts': 'the default that BullMQ gives this argument',
      'packages/dashboard/src/audit.ts': 'when a user did something, for the log of the program',
      'packages/dashboard/src/bulk.ts':
        'from which `after:2h` counts back, and when an operation was started',
      'packages/dashboard/src/changes.ts':
        'from which events are read, some seconds before the first page listens',
      'packages/dashboard/src/routes/history.ts': 'from which the ranges of the page count back',
      'packages/dashboard/src/routes/jobs.ts': 'from which `after:2h` counts back',
      'packages/cli/src/display.ts': 'the only place of the command line, until an app says what time it is',
      'packages/cli/src/worker/log.ts':
        'when a line was written, beside the lines of other programs of the machine',
    };
    expect(using(/\bDate\.now\b|\bnew Date\(\)/)).toEqual(Object.keys(allowed).sort());
  });

  test('of the machine, rather than of the app, is taken where BullMQ or the machine asks for it', () => {
    const allowed = {
      'packages/core/src/base/time.ts': 'defines it',
      'packages/core/src/internal.ts': 'exports it',
      'packages/core/src/client/runtime.ts': 'the app corrects it',
      'packages/core/src/store/store-time.ts': 'measures it',
      'packages/core/src/store/engine/postgres/backend.ts': 'the worker of BullMQ counts its waits by it',
      'packages/core/src/store/engine/postgres/commands.ts': 'converts it to that of the store',
      'packages/core/src/store/consumer-worker.ts': 'BullMQ compares with it, or takes it off again',
      'packages/core/src/store/engine/redis/due-jobs.ts': 'the worker of BullMQ counts its waits by it',
      'packages/core/src/store/guards/locks.ts': 'the worker of BullMQ compares with it',
      'packages/core/src/store/guards/commits.ts': 'as BullMQ tells the end of a job',
      'packages/core/src/store/guards/unreadable-jobs.ts': 'as BullMQ tells the end of a job',
      'packages/core/src/store/add.ts': 'as BullMQ stamps a job; the guard of the store puts it right',
      'packages/core/src/worker/isolate/run.ts': 'tells a child process how far it is ahead',
      'packages/core/src/worker/isolate/child-run.ts': 'the child has it corrected by that',
      'packages/testing/src/index.ts': 'exports that of the store in memory',
      'packages/testing/src/memory/clock.ts': 'its own, of the same name',
      'packages/testing/src/memory/index.ts': 'its own, of the same name',
    };
    expect(using(/\bsystemClock\b/)).toEqual(Object.keys(allowed).sort());
  });
});

describe('public types', () => {
  const declarations = [
    ...filesBelow('packages/core/dist', '.d.ts').filter((file) => !file.includes('/store/')),
    ...filesBelow('packages/canvas/dist', '.d.ts'),
    'packages/testing/dist/index.d.ts',
    'packages/testing/dist/memory/index.d.ts',
  ];

  test('hold no any', () => {
    expect(declarations.length).toBeGreaterThan(20);
    const withoutComments = (file: string) =>
      readFileSync(join(root, file), 'utf8')
        .replaceAll(/\/\*[\s\S]*?\*\//g, '')
        .replaceAll(/'[^'\n]*'/g, '');
    const asType = /\bany\b(?!<)/; // and not the function `group.any<…>`
    expect(declarations.filter((file) => asType.test(withoutComments(file)))).toEqual([]);
  });
});

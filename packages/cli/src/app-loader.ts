/** Finds the app that a command is about: in modules of the user, or by its name alone. */
import { existsSync, statSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import type { App, AsyncResult, Connection, Logger, RunGraph, SendOptions } from '@umbel/core';
import { CliError, EXIT } from './errors.js';
import type { AppFlags, NamedAppFlags } from './flags.js';
import { type Exports, importModule, importPackage } from './modules.js';

/** How apps and signatures are known, also those of another copy of Umbel. */
const APP = Symbol.for('umbel.app');
const SENDER = Symbol.for('umbel.sender');

export interface LoadedModule {
  readonly path: string;
  readonly exports: Exports;
  /** The export that was asked for. */
  readonly wanted: string | undefined;
}

export interface LoadedApp {
  readonly app: App;
  /** Where its packages are found. */
  readonly folder: string;
  readonly modules: readonly LoadedModule[];
}

export interface LoadOptions {
  /** Instead of `--app`: from arguments. */
  readonly modules?: readonly string[];
  /** Where the app's own messages go. */
  readonly logger: Logger;
  /** Whether the flag of the connection was typed: then it has to have an effect. */
  readonly isConnectionTyped?: boolean;
  /** For apps that name no store, where the environment names none either. */
  readonly makeConnection?: (folder: string) => Promise<Connection | undefined>;
}

/** The app of modules, or of `--app`. @throws {CliError} if there is none, or it cannot be told which. */
export async function loadApp(flags: AppFlags, options: LoadOptions): Promise<LoadedApp> {
  const specs = options.modules?.length ? options.modules : flags.app === undefined ? [] : [flags.app];
  const [first] = specs;
  if (first === undefined) {
    throw new CliError({
      exitCode: EXIT.usage,
      what: 'Which app?',
      why: 'No module was named, on the command line, in UMBEL_APP or in umbel.config.',
      hint: 'Name the one that exports it: --app ./tasks.ts',
    });
  }
  const mainModule = moduleFile(parseSpec(first).path);
  const folder = dirname(mainModule);
  await prepare(flags, options, folder, mainModule);
  const modules = await loadModules(specs);
  const app = theApp(modules);
  if (options.isConnectionTyped) await checkConnection(app, flags.connection, folder);
  return { app, folder, modules };
}

/** The same, or with `--name` an app without any code. */
export async function loadOrNameApp(
  flags: NamedAppFlags,
  options: LoadOptions & { readonly isAppTyped?: boolean; readonly isNameTyped?: boolean },
): Promise<LoadedApp & { readonly isNamed: boolean }> {
  const { name, prefix, queue } = flags;
  if (options.isAppTyped && options.isNameTyped) {
    throw new CliError({
      exitCode: EXIT.usage,
      what: '--app and --name do not go together.',
      why: 'The one loads the code of an app, the other does without.',
      hint: 'Leave one of them out.',
    });
  }
  if (name === undefined || (flags.app !== undefined && !options.isNameTyped)) {
    return { ...(await loadApp(flags, options)), isNamed: false };
  }
  const folder = process.cwd();
  await prepare(flags, options, folder);
  const { createApp } = await importPackage('@umbel/core', folder);
  const queues = queue === undefined ? undefined : [queue].flat();
  const app = createApp({
    name,
    ...(prefix !== undefined && { prefix }),
    ...(queues !== undefined && { queues }),
  });
  return { app, folder, modules: [], isNamed: true };
}

/** Modules by their text `path` or `path#export`, loaded in this order. */
async function loadModules(specs: readonly string[]): Promise<LoadedModule[]> {
  const modules: LoadedModule[] = [];
  for (const spec of specs) {
    const { path, wanted } = parseSpec(spec);
    const file = moduleFile(path);
    modules.push({ path: file, wanted, exports: await imported(file) });
  }
  return modules;
}

/** What has to be set before a module makes its app. */
async function prepare(
  flags: AppFlags,
  options: LoadOptions,
  folder: string,
  mainModule?: string,
): Promise<void> {
  if (flags.connection !== undefined) process.env.UMBEL_URL = flags.connection;
  const { setProcessDefaults } = await importPackage('@umbel/core/internal', folder);
  const connection = await options.makeConnection?.(folder);
  setProcessDefaults({
    logger: options.logger,
    ...(connection !== undefined && { connection }),
    ...(mainModule !== undefined && { mainModule }),
  });
}

export function parseSpec(spec: string): { path: string; wanted: string | undefined } {
  const at = spec.lastIndexOf('#');
  return at < 0
    ? { path: spec, wanted: undefined }
    : { path: spec.slice(0, at), wanted: spec.slice(at + 1) || undefined };
}

const ENDINGS = ['', '.ts', '.mts', '.js', '.mjs', '.cts', '.cjs', '.tsx'];

/** The file of a module, from the working directory; its ending may be left out. */
function moduleFile(path: string): string {
  const whole = resolve(path);
  const candidates = [
    ...ENDINGS.map((ending) => `${whole}${ending}`),
    whole.replace(/\.([cm]?)js$/, '.$1ts'),
  ];
  const file = candidates.find((each) => existsSync(each) && statSync(each).isFile());
  if (file !== undefined) return file;
  throw new CliError({
    exitCode: EXIT.appUnloadable,
    what: `The module ${path} cannot be loaded.`,
    why: `There is no such file: ${whole}`,
    hint: 'Paths are taken from the working directory.',
  });
}

async function imported(file: string): Promise<Exports> {
  try {
    return await importModule(file);
  } catch (error) {
    const at = error instanceof Error ? placeIn(error, file) : undefined;
    const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new CliError(
      {
        exitCode: EXIT.appUnloadable,
        what: `The module ${relative(process.cwd(), file)} cannot be loaded.`,
        why: at === undefined ? why : `${why}\nat ${at}`,
        hint: 'It has to load by itself; -v shows the stack.',
      },
      { cause: error },
    );
  }
}

/** Where in the user's code an error comes from. */
function placeIn({ stack = '' }: Error, file: string): string | undefined {
  const folder = dirname(file);
  const line = stack.split('\n').find((each) => each.includes(folder) && !each.includes('node_modules'));
  return line && /\(?((?:file:\/\/)?\/[^()]*:\d+(?::\d+)?)\)?$/.exec(line.trim())?.[1];
}

/** The one app of modules. */
function theApp(modules: readonly LoadedModule[]): App {
  const named = modules.filter(({ wanted }) => wanted !== undefined).map((module) => wantedExport(module));
  const exported = modules.flatMap(({ exports }) => Object.values(exports));
  // The export that is asked for may be a task or a composition: these know their app.
  const found =
    distinct(named.map(appOf)) ?? distinct(exported.filter(isApp)) ?? distinct(exported.map(appOf)) ?? [];
  const names = modules.map(({ path }) => relative(process.cwd(), path)).join(', ');
  const [app, ...others] = found;
  if (app === undefined) {
    throw new CliError({
      exitCode: EXIT.appUnloadable,
      what: `There is no app in ${names}.`,
      why: 'No export is what createApp gives, nor a task or a composition of one.',
      hint: "Export it: export const app = createApp({ name: '…' })",
    });
  }
  if (others.length > 0) {
    const exports = modules.flatMap((each) =>
      Object.entries(each.exports)
        .filter(([, value]) => isApp(value))
        .map(([name]) => name),
    );
    throw new CliError({
      exitCode: EXIT.appUnloadable,
      what: `There are ${found.length} apps in ${names}.`,
      why: `They are exported as ${exports.join(', ')}.`,
      hint: `Say which: ${relative(process.cwd(), modules[0]?.path ?? '')}#${exports[0] ?? 'app'}`,
    });
  }
  if (typeof app.describe !== 'function') {
    throw new CliError({
      exitCode: EXIT.appUnloadable,
      what: `The app "${app.name}" was made by another version of @umbel/core.`,
      why: 'It is too old for this program.',
      hint: 'Install the same version of umbel and of the packages @umbel/….',
    });
  }
  return app;
}

/** What `path#export` names. */
export function wantedExport({ exports, wanted = '', path }: LoadedModule): unknown {
  if (Object.hasOwn(exports, wanted)) return exports[wanted];
  throw new CliError({
    exitCode: EXIT.appUnloadable,
    what: `${relative(process.cwd(), path)} exports no "${wanted}".`,
    why: `It exports ${Object.keys(exports).join(', ') || 'nothing'}.`,
    hint: 'The name after # is that of an export.',
  });
}

function distinct(apps: readonly (App | undefined | unknown)[]): App[] | undefined {
  const found = [...new Set(apps)].filter(isApp);
  return found.length > 0 ? found : undefined;
}

function isApp(value: unknown): value is App {
  return typeof value === 'object' && value !== null && APP in value;
}

/** A task, a signature or a composition. */
export function isSignature(value: unknown): value is { readonly [SENDER]?: unknown } {
  return typeof value === 'object' && value !== null && SENDER in value;
}

function appOf(value: unknown): App | undefined {
  if (isApp(value)) return value;
  if (!isSignature(value)) return undefined;
  const sender = value[SENDER];
  return isApp(sender) ? sender : undefined;
}

/** @throws {CliError} if the app's code names a store of its own, so that the flag does nothing. */
async function checkConnection(app: App, connection: string | undefined, folder: string): Promise<void> {
  if (connection === undefined) return;
  const { createApp } = await importPackage('@umbel/core', folder);
  const meant = createApp({ name: app.name, connection }).describe().store;
  const { store } = app.describe();
  if (store.address === meant.address) return;
  throw new CliError({
    exitCode: EXIT.usage,
    what: '--connection has no effect.',
    why: `The code of app "${app.name}" names its store by itself: ${store.address}.`,
    hint: 'Leave `connection` out of createApp, so that flag and UMBEL_URL decide.',
  });
}

// Compositions and signatures that modules export.

/** A signature, with its types forgotten. */
export interface AnySignature {
  applyAsync(input?: unknown, options?: SendOptions): Promise<AsyncResult<unknown>>;
  graph(): RunGraph;
  toJSON(): { readonly kind: string };
}

/** The one that `module#export` names, or the only composition of the module. @throws {CliError} if there is none. */
export function signatureOf(module: LoadedModule): AnySignature {
  const name = relative(process.cwd(), module.path);
  if (module.wanted !== undefined) {
    const value = wantedExport(module);
    if (isSendable(value)) return value;
    throw new CliError({
      exitCode: EXIT.appUnloadable,
      what: `The export "${module.wanted}" of ${name} cannot be sent.`,
      why: 'It is no composition, signature or task.',
      hint: "Export one: export const pipeline = chain(fetch.s({ url: '…' }), publish)",
    });
  }
  const all = Object.entries(module.exports).filter((entry): entry is [string, AnySignature] =>
    isSendable(entry[1]),
  );
  const compositions = all.filter(([, value]) => value.toJSON().kind !== 'task');
  const [only, ...others] = compositions.length > 0 ? compositions : all;
  if (only !== undefined && others.length === 0) return only[1];
  throw new CliError({
    exitCode: EXIT.appUnloadable,
    what: only === undefined ? `There is no composition in ${name}.` : `Which composition of ${name}?`,
    why:
      only === undefined
        ? `It exports ${Object.keys(module.exports).join(', ') || 'nothing'}.`
        : `It exports ${[only, ...others].map(([each]) => each).join(', ')}.`,
    hint: only === undefined ? 'Export a chain, a group …' : `Say which: ${name}#${only[0]}`,
  });
}

function isSendable(value: unknown): value is AnySignature {
  return isSignature(value) && 'applyAsync' in value && typeof value.applyAsync === 'function';
}

/** Loads the app of a command from modules of the user, or creates it by name; finds exported workflows. */
import { existsSync, statSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import type { App, AsyncResult, Connection, Logger, RunGraph, SendOptions } from '@umbel/core';
import { CliError, EXIT } from './errors.js';
import type { AppFlags, NamedAppFlags } from './flags.js';
import { type Exports, importModule, importPackage } from './modules.js';

/** Mark apps and signatures, including those of another copy of Umbel. */
const APP = Symbol.for('umbel.app');
const SENDER = Symbol.for('umbel.sender');

export interface LoadedModule {
  readonly path: string;
  readonly exports: Exports;
  /** The export that `module#export` names. */
  readonly exportName: string | undefined;
}

export interface LoadedApp {
  readonly app: App;
  /** The folder from which packages of the app are resolved. */
  readonly folder: string;
  readonly modules: readonly LoadedModule[];
}

export interface LoadOptions {
  /** Modules from arguments, instead of `--app`. */
  readonly modules?: readonly string[];
  /** Receives the app's messages. */
  readonly logger: Logger;
  /** Whether `--connection` was typed: then it must have an effect. */
  readonly isConnectionTyped?: boolean;
  /** Creates a store if neither the app nor the environment names one. */
  readonly makeConnection?: (folder: string) => Promise<Connection | undefined>;
}

/** Loads the app of `modules` or `--app`. @throws {CliError} if there is no app, or more than one. */
export async function loadApp(flags: AppFlags, options: LoadOptions): Promise<LoadedApp> {
  const specs = options.modules?.length ? options.modules : flags.app === undefined ? [] : [flags.app];
  const [first] = specs;
  if (first === undefined) {
    throw new CliError({
      exitCode: EXIT.usage,
      what: 'No app is set.',
      why: 'Neither the command line nor UMBEL_APP nor umbel.config names a module.',
      hint: 'Pass the module that exports the app: --app ./tasks.ts',
    });
  }
  const mainModule = moduleFile(parseSpec(first).path);
  const folder = dirname(mainModule);
  await prepare(flags, options, folder, mainModule);
  const modules = await loadModules(specs);
  const app = findApp(modules);
  if (options.isConnectionTyped) await checkConnection(app, flags.connection, folder);
  return { app, folder, modules };
}

/** Loads the app, or with `--name` creates it without its code. */
export async function loadOrNameApp(
  flags: NamedAppFlags,
  options: LoadOptions & { readonly isAppTyped?: boolean; readonly isNameTyped?: boolean },
): Promise<LoadedApp & { readonly isNamed: boolean }> {
  const { name, prefix, queue } = flags;
  if (options.isAppTyped && options.isNameTyped) {
    throw new CliError({
      exitCode: EXIT.usage,
      what: '--app and --name exclude each other.',
      why: '--app loads the code of an app, --name works without it.',
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

/** Loads modules written as `path` or `path#export`, in this order. */
async function loadModules(specs: readonly string[]): Promise<LoadedModule[]> {
  const modules: LoadedModule[] = [];
  for (const spec of specs) {
    const { path, exportName } = parseSpec(spec);
    const file = moduleFile(path);
    modules.push({ path: file, exportName, exports: await importOrFail(file) });
  }
  return modules;
}

/** Sets the defaults that must exist before a module creates its app. */
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

/** Parses `path` or `path#export`. */
export function parseSpec(spec: string): { path: string; exportName: string | undefined } {
  const at = spec.lastIndexOf('#');
  return at < 0
    ? { path: spec, exportName: undefined }
    : { path: spec.slice(0, at), exportName: spec.slice(at + 1) || undefined };
}

const ENDINGS = ['', '.ts', '.mts', '.js', '.mjs', '.cts', '.cjs', '.tsx'];

/** Returns the file of a module, relative to the working directory; the extension is optional. */
function moduleFile(path: string): string {
  const base = resolve(path);
  const candidates = [...ENDINGS.map((ending) => `${base}${ending}`), base.replace(/\.([cm]?)js$/, '.$1ts')];
  const file = candidates.find((each) => existsSync(each) && statSync(each).isFile());
  if (file !== undefined) return file;
  throw new CliError({
    exitCode: EXIT.appUnloadable,
    what: `Module "${path}" cannot be loaded.`,
    why: `There is no such file: ${base}`,
    hint: 'Paths are relative to the working directory.',
  });
}

async function importOrFail(file: string): Promise<Exports> {
  try {
    return await importModule(file);
  } catch (error) {
    const at = error instanceof Error ? positionIn(error, file) : undefined;
    const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new CliError(
      {
        exitCode: EXIT.appUnloadable,
        what: `Module "${relative(process.cwd(), file)}" cannot be loaded.`,
        why: at === undefined ? why : `${why}\nat ${at}`,
        hint: 'Fix the error in the module. To print the stack, pass -v.',
      },
      { cause: error },
    );
  }
}

/** Returns the position in the user's code at which an error was thrown. */
function positionIn({ stack = '' }: Error, file: string): string | undefined {
  const folder = dirname(file);
  const line = stack.split('\n').find((each) => each.includes(folder) && !each.includes('node_modules'));
  return line && /\(?((?:file:\/\/)?\/[^()]*:\d+(?::\d+)?)\)?$/.exec(line.trim())?.[1];
}

/** Returns the only app of the modules. @throws {CliError} if there is none, or more than one. */
function findApp(modules: readonly LoadedModule[]): App {
  const named = modules
    .filter(({ exportName }) => exportName !== undefined)
    .map((module) => namedExport(module));
  const exported = modules.flatMap(({ exports }) => Object.values(exports));
  // The named export may be a task or a workflow, which refers to its app.
  const found =
    distinct(named.map(appOf)) ?? distinct(exported.filter(isApp)) ?? distinct(exported.map(appOf)) ?? [];
  const names = modules.map(({ path }) => relative(process.cwd(), path)).join(', ');
  const [app, ...others] = found;
  if (app === undefined) {
    throw new CliError({
      exitCode: EXIT.appUnloadable,
      what: `There is no app in ${names}.`,
      why: 'It exports no app, task or workflow.',
      hint: "Export the app: export const app = createApp({ name: '…' })",
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
      why: `Expected one app, got the exports ${exports.join(', ')}.`,
      hint: `Name one: ${relative(process.cwd(), modules[0]?.path ?? '')}#${exports[0] ?? 'app'}`,
    });
  }
  if (typeof app.describe !== 'function') {
    throw new CliError({
      exitCode: EXIT.appUnloadable,
      what: `App "${app.name}" was created by another version of @umbel/core.`,
      why: 'That version is too old for this program.',
      hint: 'Install the same version of umbel and all @umbel packages.',
    });
  }
  return app;
}

/** Returns the export that `path#export` names. @throws {CliError} if there is no such export. */
function namedExport({ exports, exportName = '', path }: LoadedModule): unknown {
  if (Object.hasOwn(exports, exportName)) return exports[exportName];
  throw new CliError({
    exitCode: EXIT.appUnloadable,
    what: `Module "${relative(process.cwd(), path)}" has no export "${exportName}".`,
    why: `It exports ${Object.keys(exports).join(', ') || 'nothing'}.`,
    hint: 'Write the name of an export after #.',
  });
}

function distinct(apps: readonly (App | undefined | unknown)[]): App[] | undefined {
  const found = [...new Set(apps)].filter(isApp);
  return found.length > 0 ? found : undefined;
}

function isApp(value: unknown): value is App {
  return typeof value === 'object' && value !== null && APP in value;
}

/** Returns whether the value is a task, a signature or a workflow. */
function isSignature(value: unknown): value is { readonly [SENDER]?: unknown } {
  return typeof value === 'object' && value !== null && SENDER in value;
}

function appOf(value: unknown): App | undefined {
  if (isApp(value)) return value;
  if (!isSignature(value)) return undefined;
  const sender = value[SENDER];
  return isApp(sender) ? sender : undefined;
}

/** @throws {CliError} if the app's code sets its store, so that `--connection` has no effect. */
async function checkConnection(app: App, connection: string | undefined, folder: string): Promise<void> {
  if (connection === undefined) return;
  const { createApp } = await importPackage('@umbel/core', folder);
  const requested = createApp({ name: app.name, connection }).describe().store;
  const { store } = app.describe();
  if (store.address === requested.address) return;
  throw new CliError({
    exitCode: EXIT.usage,
    what: '--connection has no effect.',
    why: `The code of app "${app.name}" sets its store: ${store.address}.`,
    hint: 'To use --connection or UMBEL_URL, remove `connection` from createApp.',
  });
}

// Workflows and signatures that modules export.

/** A signature without its types. */
interface AnySignature {
  applyAsync(input?: unknown, options?: SendOptions): Promise<AsyncResult<unknown>>;
  graph(): RunGraph;
  toJSON(): { readonly kind: string };
}

/** Returns the export that `module#export` names, or the only workflow of the module. @throws {CliError} if there is none, or more than one. */
export function signatureOf(module: LoadedModule): AnySignature {
  const name = relative(process.cwd(), module.path);
  if (module.exportName !== undefined) {
    const value = namedExport(module);
    if (isSendable(value)) return value;
    throw new CliError({
      exitCode: EXIT.appUnloadable,
      what: `Export "${module.exportName}" of ${name} cannot be sent.`,
      why: 'It is not a workflow, signature or task.',
      hint: "Export one, such as export const pipeline = chain(fetch.s({ url: '…' }), publish)",
    });
  }
  const all = Object.entries(module.exports).filter((entry): entry is [string, AnySignature] =>
    isSendable(entry[1]),
  );
  const workflows = all.filter(([, value]) => value.toJSON().kind !== 'task');
  const [only, ...others] = workflows.length > 0 ? workflows : all;
  if (only !== undefined && others.length === 0) return only[1];
  throw new CliError({
    exitCode: EXIT.appUnloadable,
    what:
      only === undefined ? `There is no workflow in ${name}.` : `There is more than one workflow in ${name}.`,
    why:
      only === undefined
        ? `It exports ${Object.keys(module.exports).join(', ') || 'nothing'}.`
        : `It exports ${[only, ...others].map(([each]) => each).join(', ')}.`,
    hint:
      only === undefined ? 'Export a workflow, such as a chain or a group.' : `Name one: ${name}#${only[0]}`,
  });
}

function isSendable(value: unknown): value is AnySignature {
  return isSignature(value) && 'applyAsync' in value && typeof value.applyAsync === 'function';
}

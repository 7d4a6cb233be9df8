/** `umbel.config.{ts,mts,js,mjs,json}`: what flags are where neither the command line nor the environment says so. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, type Option } from 'commander';
import { COMMANDS } from './commands/index.js';
import { CliError, EXIT } from './errors.js';
import { parseJson } from './input.js';
import { importModule } from './modules.js';

/** Of a flag, by its name in camel case. */
type Value = string | number | boolean | readonly string[] | Readonly<Record<string, string>>;

/** What a file of configuration holds. */
export interface UmbelConfig {
  /** A module, from this file's folder, as `./tasks.ts` or `./tasks.ts#app`. */
  app?: string;
  /** The store of apps that name none in their code: a URL. */
  connection?: string;
  /** The app's name, for commands that do without its code. */
  name?: string;
  prefix?: string;
  /** Flags of single commands: `{ worker: { concurrency: 20, logFormat: 'json' } }`. */
  worker?: Readonly<Record<string, Value>>;
  dev?: Readonly<Record<string, Value>>;
  call?: Readonly<Record<string, Value>>;
  run?: Readonly<Record<string, Value>>;
  result?: Readonly<Record<string, Value>>;
  graph?: Readonly<Record<string, Value>>;
  doctor?: Readonly<Record<string, Value>>;
}

const SHARED = ['app', 'connection', 'name', 'prefix'];
const FILES = ['ts', 'mts', 'js', 'mjs', 'json'].map((ending) => `umbel.config.${ending}`);

/** The file of configuration in a folder, if there is one. */
export function configFile(folder: string): string | undefined {
  return FILES.map((name) => join(folder, name)).find((file) => existsSync(file));
}

/** Gives the flags that nobody has set their values of the file. @throws {CliError} for what cannot be used. */
export async function applyConfig(command: Command, folder = process.cwd()): Promise<void> {
  const file = configFile(folder);
  if (file === undefined) return;
  const config = await readConfig(file);
  const refuse = (why: string) =>
    new CliError({
      exitCode: EXIT.usage,
      what: `The configuration ${file} cannot be used.`,
      why,
      hint: 'Its keys are app, connection, name, prefix, and commands with their flags in camel case.',
    });
  for (const key of Object.keys(config)) {
    if (!SHARED.includes(key) && !Object.hasOwn(COMMANDS, key)) throw refuse(`There is no "${key}".`);
  }
  // The file has no flags of commands that stand below others: some have the name of another command.
  const isVerb = command.parent?.parent != null;
  const own = (isVerb ? undefined : config[command.name()]) ?? {};
  if (typeof own !== 'object' || own === null || Array.isArray(own))
    throw refuse(`"${command.name()}" is no object of flags.`);
  const byName = new Map(command.options.map((option) => [option.attributeName(), option]));
  for (const key of Object.keys(own)) {
    if (!byName.has(key)) throw refuse(`"${command.name()}" has no flag "${key}".`);
  }
  const flags = { ...Object.fromEntries(SHARED.map((key) => [key, config[key]])), ...own };
  for (const [key, value] of Object.entries(flags)) {
    const option = byName.get(key);
    const source = command.getOptionValueSource(key);
    if (option === undefined || value === undefined || (source !== undefined && source !== 'default'))
      continue;
    command.setOptionValueWithSource(key, read(option, value, refuse), 'config');
  }
}

async function readConfig(file: string): Promise<Readonly<Record<string, unknown>>> {
  const value = file.endsWith('.json')
    ? parseJson(readFileSync(file, 'utf8'), file)
    : (await importModule(file)).default;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new CliError({
    exitCode: EXIT.usage,
    what: `The configuration ${file} cannot be used.`,
    why: 'It gives no object.',
    hint: "Write `export default defineConfig({ app: './tasks.ts' })`.",
  });
}

/** Checked as if it had been typed. */
function read(option: Option, value: unknown, refuse: (why: string) => CliError): unknown {
  const name = option.attributeName();
  if (option.isBoolean()) {
    if (typeof value !== 'boolean') throw refuse(`"${name}" is to be true or false.`);
    return value;
  }
  const texts = Array.isArray(value)
    ? value.map(String)
    : typeof value === 'object' && value !== null
      ? Object.entries(value).map(([key, text]) => `${key}=${text}`)
      : [String(value)];
  let result: unknown;
  for (const text of texts) {
    if (option.argChoices !== undefined && !option.argChoices.includes(text))
      throw refuse(`"${name}" is to be one of ${option.argChoices.join(', ')}.`);
    try {
      result = option.parseArg === undefined ? text : option.parseArg(text, result);
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw refuse(`"${name}": ${error.message}`);
      throw error;
    }
  }
  return result;
}

/** Applies `umbel.config.{ts,mts,js,mjs,json}` to flags that neither the command line nor the environment sets. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, type Option } from 'commander';
import { COMMANDS } from './commands/index.js';
import { CliError, EXIT } from './errors.js';
import { parseJson } from './input.js';
import { importModule } from './modules.js';

/** The value of a flag. */
type Value = string | number | boolean | readonly string[] | Readonly<Record<string, string>>;

/**
 * The content of `umbel.config.{ts,mts,js,mjs,json}`: settings of the app, and flags of commands. Flags are keys in camel case.
 * The command line and the environment take precedence.
 */
export interface UmbelConfig {
  /** Module of the app, such as `./tasks.ts` or `./tasks.ts#app`, relative to the folder of this file. */
  app?: string;
  /** URL of the store, for apps that set none in their code. */
  connection?: string;
  /** Name of the app, for commands that work without its code. */
  name?: string;
  /** Key prefix of the app, with `name`. */
  prefix?: string;
  /** Flags of a command: `{ worker: { concurrency: 20, logFormat: 'json' } }`. */
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

/** Returns the path of the configuration file in a folder; undefined if there is none. */
export function configFile(folder: string): string | undefined {
  return FILES.map((name) => join(folder, name)).find((file) => existsSync(file));
}

/** Sets unset flags of the command from the configuration file. @throws {CliError} for unknown keys and invalid values. */
export async function applyConfig(command: Command, folder = process.cwd()): Promise<void> {
  const file = configFile(folder);
  if (file === undefined) return;
  const config = await readConfig(file);
  const refuse = (why: string) =>
    new CliError({
      exitCode: EXIT.usage,
      what: `Configuration "${file}" is invalid.`,
      why,
      hint: 'Its keys are app, connection, name, prefix, and commands with their flags in camel case.',
    });
  for (const key of Object.keys(config)) {
    if (!SHARED.includes(key) && !Object.hasOwn(COMMANDS, key)) throw refuse(`Unknown key "${key}".`);
  }
  // The file has no flags for subcommands: some share their name with a command.
  const isVerb = command.parent?.parent != null;
  const commandFlags = (isVerb ? undefined : config[command.name()]) ?? {};
  if (typeof commandFlags !== 'object' || commandFlags === null || Array.isArray(commandFlags))
    throw refuse(`"${command.name()}" must be an object of flags.`);
  const byName = new Map(command.options.map((option) => [option.attributeName(), option]));
  for (const key of Object.keys(commandFlags)) {
    if (!byName.has(key)) throw refuse(`"${command.name()}" has no flag "${key}".`);
  }
  const flags = { ...Object.fromEntries(SHARED.map((key) => [key, config[key]])), ...commandFlags };
  for (const [key, value] of Object.entries(flags)) {
    const option = byName.get(key);
    const source = command.getOptionValueSource(key);
    if (option === undefined || value === undefined || (source !== undefined && source !== 'default'))
      continue;
    command.setOptionValueWithSource(key, parseValue(option, value, refuse), 'config');
  }
}

async function readConfig(file: string): Promise<Readonly<Record<string, unknown>>> {
  const value = file.endsWith('.json')
    ? parseJson(readFileSync(file, 'utf8'), file)
    : (await importModule(file)).default;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new CliError({
    exitCode: EXIT.usage,
    what: `Configuration "${file}" is invalid.`,
    why: 'Its default export is not an object.',
    hint: "Write `export default defineConfig({ app: './tasks.ts' })`.",
  });
}

/** Checks and converts a value as if it were typed on the command line. */
function parseValue(option: Option, value: unknown, refuse: (why: string) => CliError): unknown {
  const name = option.attributeName();
  if (option.isBoolean()) {
    if (typeof value !== 'boolean') throw refuse(`"${name}" must be true or false.`);
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
      throw refuse(`"${name}" must be one of ${option.argChoices.join(', ')}.`);
    try {
      result = option.parseArg === undefined ? text : option.parseArg(text, result);
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw refuse(`"${name}": ${error.message}`);
      throw error;
    }
  }
  return result;
}

import { spawn } from 'node:child_process';
import { basename, resolve } from 'node:path';
import { Option } from 'commander';
import { defineCommand } from '../command.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples, type OutputFlags, outputFlags } from '../flags.js';
import { type PackageManager, packageManagerOf, scriptLine } from '../init/package-manager.js';
import { nameFrom, type WrittenProject, writeProject } from '../init/project.js';
import { ownVersion } from '../version.js';

type InitFlags = OutputFlags & {
  readonly yes?: boolean;
  readonly appName?: string;
  readonly install: boolean;
};

const NAME = /^[A-Za-z0-9_.-]{1,100}$/;

export default defineCommand<InitFlags>({
  define(command) {
    command
      .description(
        'Adds a first task, its test and what runs them to the project in this folder, or makes a new one: tasks.ts, tasks.test.ts, umbel.config.json, tsconfig.json, and scripts and packages in package.json. Nothing is written over.',
      )
      .addOption(new Option('-y, --yes', 'ask nothing'))
      .addOption(new Option('--app-name <name>', 'name of the app (default: that of the folder)'))
      .addOption(new Option('--no-install', 'leave the packages to be installed by hand'));
    outputFlags(command);
    examples(command, [
      ['npx umbel init', 'asks for a name'],
      ['npx umbel init --yes --no-install', 'writes the files only'],
    ]);
  },

  async run({ flags, out }) {
    const folder = resolve('.');
    const manager = packageManagerOf(folder);
    const name = await chosenName(flags, folder);
    const project = writeProject(folder, name, ownVersion());
    if (!out.isJson) for (const file of project.written) out.note(`wrote ${file}`);
    for (const script of project.keptScripts)
      out.note(`The script "${script}" stays as it is; Umbel's is "umbel:${script}".`);
    if (flags.install) await install(manager);
    const next = nextLines(manager, project, flags.install);
    if (out.isJson) out.document('init', { app: name, written: project.written, next });
    else {
      out.note('\nNow:');
      for (const line of next) out.data(line);
      out.note(`\nThe worker needs a Redis (UMBEL_URL); without one: ${scriptLine(manager, 'dev')}`);
    }
    return EXIT.ok;
  },
});

/** The two commands that show that it works. */
function nextLines(
  manager: PackageManager,
  { testScript, workerScript }: WrittenProject,
  isInstalled: boolean,
): string[] {
  const test = scriptLine(manager, testScript);
  return [isInstalled ? test : `${manager} install && ${test}`, scriptLine(manager, workerScript)];
}

async function chosenName({ appName, yes }: InitFlags, folder: string): Promise<string> {
  const usual = nameFrom(folder);
  const isAsked =
    appName === undefined && !yes && process.stdin.isTTY && process.stderr.isTTY && !process.env.CI;
  const name = isAsked ? await askedName(usual) : (appName ?? usual);
  if (NAME.test(name)) return name;
  throw new CliError({
    exitCode: EXIT.usage,
    what: `An app cannot be called ${JSON.stringify(name)}.`,
    why: 'Expected 1 to 100 letters, digits, "_", "." or "-".',
    hint: 'Choose another one: --app-name',
  });
}

async function askedName(usual: string): Promise<string> {
  const { intro, isCancel, text } = await import('@clack/prompts');
  const shown = { output: process.stderr };
  intro('umbel init', shown);
  const answer = await text({
    message: `Name of the app in ${basename(resolve('.'))}`,
    initialValue: usual,
    validate: (value = '') => (NAME.test(value) ? undefined : 'Letters, digits, "_", "." and "-"'),
    ...shown,
  });
  if (!isCancel(answer)) return answer;
  throw new CliError({
    exitCode: EXIT.interrupted,
    what: 'Nothing was written.',
  });
}

/** @throws {CliError} if the package manager fails. */
async function install(manager: PackageManager): Promise<void> {
  const child = spawn(manager, ['install'], {
    stdio: ['ignore', process.stderr, process.stderr],
    shell: process.platform === 'win32', // where it is a script
  });
  const why = await new Promise<string | undefined>((done) => {
    child.once('error', (error) => done(error.message));
    child.once('exit', (code, signal) => done(code === 0 ? undefined : `It ended with ${signal ?? code}.`));
  });
  if (why === undefined) return;
  throw new CliError({
    exitCode: EXIT.failed,
    what: `${manager} install has failed.`,
    why,
    hint: 'The files are written. Install the packages by hand.',
  });
}

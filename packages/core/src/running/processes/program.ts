/** The program that this process runs, to be run again in further ones. */
import { isMainThread } from 'node:worker_threads';
import { ChildProcessError } from '../../errors.js';

export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  /** Node's own, such as a loader for TypeScript. */
  readonly execArgv: readonly string[];
}

export interface ProgramFacts {
  readonly argv: readonly string[];
  readonly execArgv: readonly string[];
  readonly isMainThread: boolean;
}

/** Text that is run, and no file. */
const EVALUATED = /^(-e|-p|-pe|-i|--eval|--print|--interactive)(=|$)/;
const TEST_RUNNER = /[/\\]node_modules[/\\](vitest|tinypool|jest[^/\\]*|mocha|ava)[/\\]/;
/** Two processes cannot listen for a debugger on one port; and Node's own watch mode starts anew by itself. */
const NOT_PASSED_ON = /^--(inspect|watch)/;

/** @throws {ChildProcessError} if there is none that could be run again. */
export function programOf(facts: ProgramFacts = { ...ownArguments(), isMainThread }): Program {
  const [, file, ...args] = facts.argv;
  const reason = unfit(facts, file);
  if (file === undefined || reason !== undefined) {
    throw new ChildProcessError(
      `A worker with \`processes\` or \`watch\` runs its program again in further processes, so it needs a file ${reason}. ` +
        'Start it from a file: `node worker.js`.',
    );
  }
  return { file, args, execArgv: facts.execArgv.filter((argument) => !NOT_PASSED_ON.test(argument)) };
}

function unfit(
  { execArgv, isMainThread: isMain }: ProgramFacts,
  file: string | undefined,
): string | undefined {
  if (execArgv.some((argument) => EVALUATED.test(argument))) return 'and not text that Node evaluates';
  if (file === undefined) return 'of its own, but runs from a prompt or from standard input';
  if (!isMain) return 'that is started in the main thread, and not in a worker thread';
  if (TEST_RUNNER.test(file)) return `of its own, and not a test runner (${file})`;
  return undefined;
}

function ownArguments(): Pick<ProgramFacts, 'argv' | 'execArgv'> {
  return { argv: process.argv, execArgv: process.execArgv };
}

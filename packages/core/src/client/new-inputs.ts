/** This module checks the `inputs` of `resume()`, before anything is changed. */

import { InvalidOptionError, JobStateError } from '../base/errors.js';
import { checkKnown, checkObject, type OptionNames } from '../base/option-checks.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, jobIdOf } from '../job/job-tree.js';
import { jobStateOf } from '../store/read.js';
import { findBelow, type NewInputs, type Resumable, resumableIn } from '../store/resume.js';
import type { ResumeOptions } from './async-result.js';
import type { ResultDependencies } from './wait.js';

const OPTIONS: OptionNames<ResumeOptions> = { inputs: true };

/** The run or single call to resume. */
interface Resumed extends JobRef {
  /** Id of the handle's job: for a call with callbacks, the call and not its run. */
  readonly asked: string;
}

/**
 * Returns the inputs of `resume` in stored form, by job id.
 * @throws {InvalidOptionError} if a key is not a step of the run, or this program does not define its task.
 * @throws {JobStateError} if a step does not run again or holds no input.
 * @throws {ValidationError} if an input does not match the schema of its task; the path of the issue begins with the step.
 */
export async function checkedInputs(
  parts: ResultDependencies,
  resumed: Resumed,
  options: ResumeOptions,
): Promise<NewInputs> {
  const example = "{ inputs: { '0-1': { to: 'a@b.c' } } }";
  checkKnown(checkObject('options', options, example), OPTIONS);
  const { inputs } = options;
  const checked = new Map<string, unknown>();
  if (inputs === undefined) return checked;
  const steps = Object.entries(checkObject('inputs', inputs, "{ '0-1': { to: 'a@b.c' } }")).map(
    ([key, input]) => ({ id: idOf(resumed, key), option: `inputs['${key}']`, input }),
  );
  const ids = new Set(steps.map(({ id }) => id));
  if (ids.size < steps.length)
    throw new InvalidOptionError('inputs', 'an object with one input for each step', inputs);
  const resumable = await resumableIn(parts.store, resumed, ids);
  for (const { id, option, input } of steps) {
    if (input === undefined) throw new InvalidOptionError(option, 'a value that JSON can represent', input);
    const job = resumable.get(id) ?? (await refuse(parts, resumed, id, option));
    refuseWithoutInput(job);
    if (!parts.knowsTask(job.task))
      throw new InvalidOptionError(
        option,
        `the input of a task that this program defines. Import the module that defines task "${job.task}", so that the input can be checked`,
        input,
      );
    await parts.checkInput(job.task, input, option);
    checked.set(id, await parts.store.sealedInput(job, input));
  }
  return checked;
}

/** Returns the id of a step from its id or its path in the run. */
function idOf({ id: run, asked }: Resumed, key: string): string {
  return key === asked || key === run || key.startsWith(`${run}.`) ? key : jobIdOf(run, key);
}

/** Throws the reason why a job does not run again. */
async function refuse(
  { store }: ResultDependencies,
  run: Resumed,
  id: string,
  option: string,
): Promise<Resumable> {
  const place = await findBelow(store, run, id);
  if (place === undefined)
    throw new InvalidOptionError(
      'inputs',
      `an object whose keys are ids or paths of failed steps of run ${run.id} (graph() shows them)`,
      option,
    );
  const state = await jobStateOf(store, { queue: place.queue, id });
  const reason =
    state === 'completed'
      ? 'has completed: it keeps its result and does not run again'
      : `is ${state}: resume() does not run it again`;
  throw new JobStateError(`Step ${id} ${reason}. Leave it out of \`inputs\`.`);
}

function refuseWithoutInput({ id, queue, task, data }: Resumable): void {
  if (queue === INTERNAL_QUEUE)
    throw new JobStateError(
      `Step ${id} is an internal job of Umbel ("${task}"), which takes no input. Pass an input for a failed step below it.`,
    );
  if (data.items !== undefined)
    throw new JobStateError(
      `Step ${id} holds several inputs of chunks(), and single ones cannot be replaced. Send the chunks again.`,
    );
  if (data.replacement !== undefined)
    throw new JobStateError(
      `Step ${id} replaced itself with other steps and does not run again. Pass inputs for those that have failed.`,
    );
}

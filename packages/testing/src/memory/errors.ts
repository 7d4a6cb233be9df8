import { ErrorCode, UnrecoverableError } from 'bullmq';

/** What a refused command was about. */
export interface Refusal {
  readonly command: string;
  readonly jobId?: string | undefined;
  readonly parentKey?: string | undefined;
  readonly state?: string | undefined;
}

/** The error BullMQ reports for a refused command, with its `code`. */
export function refusalError(code: number, refusal: Refusal): Error & { code: number } {
  return Object.assign(describe(code, refusal), { code });
}

function describe(code: number, { command, jobId, parentKey, state }: Refusal): Error {
  switch (code) {
    case ErrorCode.JobNotExist:
      return new Error(`Missing key for job ${jobId}. ${command}`);
    case ErrorCode.JobLockNotExist:
      return new Error(`Missing lock for job ${jobId}. ${command}`);
    case ErrorCode.JobNotInState:
      return new Error(`Job ${jobId} is not in the ${state} state. ${command}`);
    case ErrorCode.JobPendingChildren:
      return new Error(`Job ${jobId} has pending dependencies. ${command}`);
    case ErrorCode.ParentJobNotExist:
      return new Error(`Missing key for parent job ${parentKey}. ${command}`);
    case ErrorCode.JobLockMismatch:
      return new Error(`Lock mismatch for job ${jobId}. Cmd ${command} from ${state}`);
    case ErrorCode.ParentJobCannotBeReplaced:
      return new Error(`The parent job ${parentKey} cannot be replaced. ${command}`);
    case ErrorCode.JobBelongsToJobScheduler:
      return new Error(`Job ${jobId} belongs to a job scheduler and cannot be removed directly. ${command}`);
    case ErrorCode.JobHasFailedChildren:
      return new UnrecoverableError(
        `Cannot complete job ${jobId} because it has at least one failed child. ${command}`,
      );
    case ErrorCode.SchedulerJobIdCollision:
      return new Error(`Cannot create job scheduler iteration - job ID already exists. ${command}`);
    case ErrorCode.SchedulerJobSlotsBusy:
      return new Error(
        `Cannot create job scheduler iteration - current and next time slots already have jobs. ${command}`,
      );
    default:
      return new Error(`Unknown code ${code} error for ${jobId}. ${command}`);
  }
}

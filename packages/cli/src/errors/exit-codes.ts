/** What the exit code of every command means. */
export const EXIT = {
  ok: 0,
  /** A task has failed; of `doctor`, something is wrong. */
  failed: 1,
  /** Flags, arguments, input or configuration that cannot be used. */
  usage: 2,
  notFound: 3,
  /** The module of the app cannot be loaded, or holds none. */
  appUnloadable: 4,
  /** The store does not answer. */
  unreachable: 69,
  /** There was no result in time, or there is none yet. */
  timedOut: 75,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

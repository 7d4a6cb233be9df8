/** The key of a state of the task's own, stored as the job's progress beside the progress itself. */
export const OWN_STATE = 'umbel:state';

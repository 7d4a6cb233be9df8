/** For Umbel's own packages. Not covered by the version promise. */
export { normalize } from './normalize.js';

/** The code of the guides for newcomers compiles, and prints what they say. A file of its own, to run beside `docs.test.ts`. */
import { testPages } from '../support/page-tests.js';

testPages(['docs/first-steps.md', 'docs/recipes.md', 'docs/from-bullmq.md', 'docs/deployment.md']);

/**
 * Prints `N passed, N failed` from the JSON result of a vitest run.
 *
 * A file that failed before its first test counts as one failure, and so does a run without a result.
 */
import { readFileSync } from 'node:fs';

const [file] = process.argv.slice(2);
const { passed, failed } = count(read());
process.stdout.write(`${passed} passed, ${failed} failed\n`);

function read() {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function count(result) {
  if (result === undefined) return { passed: 0, failed: 1 };
  const broken = result.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const failed = result.numFailedTests + broken;
  return { passed: result.numPassedTests, failed: failed === 0 && !result.success ? 1 : failed };
}

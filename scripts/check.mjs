/**
 * Runs every check and reports all that fail, not only the first.
 *
 * Two at a time, because most of them are one busy process. Each prints its output in one piece.
 */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';

const AT_ONCE = 2;
const MS_PER_SECOND = 1000;

const { scripts } = createRequire(import.meta.url)('../package.json');
const waiting = Object.keys(scripts).filter((name) => name.startsWith('check:'));
const total = waiting.length;
const failed = [];

await Promise.all(Array.from({ length: AT_ONCE }, work));
const result =
  failed.length === 0 ? `${total} checks passed` : `failed: ${failed.sort().join(', ')}`;
process.stdout.write(`${total - failed.length} of ${total} checks: ${result}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;

async function work() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const startMs = performance.now();
    const { code, output } = await run(name);
    if (code !== 0) failed.push(name);
    const seconds = ((performance.now() - startMs) / MS_PER_SECOND).toFixed(1);
    process.stdout.write(`${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)\n`);
    if (code !== 0) process.stdout.write(`${output.trimEnd()}\n`);
  }
}

function run(name) {
  return new Promise((done) => {
    const child = spawn('npm', ['run', '--silent', name], {
      shell: process.platform === 'win32',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    }
    child.on('error', (error) => done({ code: 1, output: error.message }));
    child.on('close', (code) => done({ code: code ?? 1, output }));
  });
}

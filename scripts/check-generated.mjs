/**
 * Checks that gen/ is what the contract generates: generates into a temporary folder and compares.
 * The tree itself is not touched.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const fresh = mkdtempSync(join(tmpdir(), 'molten-generated-'));
try {
  const result = spawnSync('buf', ['generate', '-o', fresh], {
    cwd: root,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (result.error !== undefined || result.status !== 0) {
    process.stderr.write(`buf generate failed: ${result.error?.message ?? result.stderr}\n`);
    process.exitCode = 1;
  } else {
    report(compare(readTree(join(root, 'gen')), readTree(join(fresh, 'gen'))));
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

function report(differences) {
  if (differences.length === 0) return;
  for (const difference of differences) process.stderr.write(`${difference}\n`);
  process.stderr.write('gen/ does not fit proto/; run `npm run generate` and commit the result\n');
  process.exitCode = 1;
}

function compare(committed, generated) {
  const paths = [...new Set([...committed.keys(), ...generated.keys()])].sort();
  return paths.flatMap((path) => {
    if (!generated.has(path)) return [`gen/${path} is not generated any more`];
    if (!committed.has(path)) return [`gen/${path} is missing`];
    return committed.get(path) === generated.get(path) ? [] : [`gen/${path} differs`];
  });
}

function readTree(folder) {
  const files = new Map();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    files.set(relative(folder, file).replaceAll('\\', '/'), readFileSync(file, 'utf8'));
  }
  return files;
}

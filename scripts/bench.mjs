/** Runs one benchmark of test/bench by its name; without one it lists them. */
import { spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const NAMES = [
  'reads',
  'writes',
  'scans',
  'tiers',
  'watches',
  'recovery',
  'access',
  'overload',
  'soak',
  'postgres',
  'retention',
  'migration',
  'filters',
  'ciphers',
];
const name = process.argv[2] ?? '';
const file = join(root, 'test', 'bench', `${name}.ts`);
if (!NAMES.includes(name)) {
  process.stderr.write(`usage: npm run bench -- ${NAMES.join('|')}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = spawnSync(process.execPath, [file], { stdio: 'inherit' }).status ?? 1;
}

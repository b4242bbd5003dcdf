/** Runs one benchmark of test/bench by its name; without one it lists them. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const name = process.argv[2] ?? '';
const file = join(root, 'test', 'bench', `${name}.ts`);
if (!/^(reads|writes|watches|recovery|access|postgres)$/.test(name) || !existsSync(file)) {
  process.stderr.write('usage: npm run bench -- reads|writes|watches|recovery|access|postgres\n');
  process.exitCode = 2;
} else {
  process.exitCode = spawnSync(process.execPath, [file], { stdio: 'inherit' }).status ?? 1;
}

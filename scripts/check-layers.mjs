/**
 * Checks the rules of .dependency-cruiser.cjs, and that they still bite.
 *
 * A cruiser that understands no TypeScript cruises nothing and is content. So this also demands a
 * plausible number of modules, and plants forbidden imports in a copy of the tree, each of which must
 * be reported by the rule that forbids it.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const MODULES_MIN = 40;
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;
const FOLDERS = ['src', 'gen', 'cli'].filter((folder) => existsSync(join(root, folder)));
const CONFIGURATION = ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json'];

/** Rule → a file and an import in it that the rule must refuse. */
const PLANTED = [
  ['room-errors', 'src/errors/planted.ts', '../platform/clock.ts'],
  ['room-platform', 'src/platform/planted.ts', '../storage/types.ts'],
  ['room-config', 'src/config/planted.ts', '../storage/types.ts'],
  ['room-storage-port', 'src/storage/query/planted.ts', '../../domain/access/principal.ts'],
  ['room-storage-embedded', 'src/storage/embedded/planted.ts', '../../domain/access/principal.ts'],
  ['room-domain', 'src/domain/access/planted.ts', '../../../gen/molten/v1/auth_pb.ts'],
  ['domain-access', 'src/domain/access/planted-order.ts', '../documents/planted.ts'],
  ['room-identity', 'src/identity/planted.ts', '../storage/types.ts'],
  ['identity-types', 'src/identity/planted-access.ts', '../domain/access/principal.ts'],
  ['room-protocol', 'src/protocol/planted.ts', '../storage/types.ts'],
  ['room-client', 'src/client/planted.ts', '../platform/clock.ts'],
  ['room-cli', 'cli/commands/planted.ts', '../../src/storage/types.ts'],
  ['fence-fastify', 'src/protocol/planted-fastify.ts', 'fastify'],
  ['fence-connect', 'src/domain/documents/planted.ts', '@connectrpc/connect'],
  ['fence-sqlite', 'src/storage/query/planted-sqlite.ts', 'better-sqlite3-multiple-ciphers'],
  ['fence-oclif', 'src/server/planted.ts', '@oclif/core'],
  ['fence-identity', 'src/domain/access/planted-identity.ts', 'ldapts'],
  ['fence-protobuf', 'src/storage/query/planted-protobuf.ts', '@bufbuild/protobuf'],
  ['no-test', 'src/server/planted-test.ts', '../../test/planted.ts'],
  ['known-room', 'src/planted/planted.ts', '../errors/reason.ts'],
  ['no-dev-package', 'src/server/planted-dev.ts', 'fast-check'],
];

const problems = [...checkTree(), ...checkPlanted()];
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;

function checkTree() {
  const { modules, violations } = cruise(root);
  const found = violations.map(({ rule, from, to }) => `${rule}: ${from} imports ${to}`);
  if (modules < MODULES_MIN) {
    found.push(`only ${modules} modules were cruised; at least ${MODULES_MIN} are expected`);
  }
  process.stdout.write(`${modules} modules, ${violations.length} forbidden imports\n`);
  return found;
}

function checkPlanted() {
  const copy = mkdtempSync(join(tmpdir(), 'molten-layers-'));
  try {
    for (const name of [...FOLDERS, ...CONFIGURATION]) {
      cpSync(join(root, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction');
    plant(copy, 'test/planted.ts', 'export {};\n');
    for (const [, file, target] of PLANTED) plant(copy, file, `import '${target}';\n`);
    const { violations } = cruise(copy);
    return PLANTED.filter(
      ([rule, file]) => !violations.some((found) => found.rule === rule && found.from === file),
    ).map(([rule, file, target]) => `${rule} does not bite: ${file} may import ${target}`);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function plant(folder, file, text) {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), text);
}

function cruise(folder) {
  const command = join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruiser.mjs');
  const folders = ['src', 'gen', 'cli'].filter((name) => existsSync(join(folder, name)));
  const result = spawnSync(process.execPath, [command, '--output-type', 'json', ...folders], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  if (result.stdout === '') throw new Error(`dependency-cruiser failed: ${result.stderr}`);
  const { modules, summary } = JSON.parse(result.stdout);
  const ours = modules.filter(({ source }) => /^(src|gen|cli)\//.test(source));
  const violations = summary.violations.map(({ rule, from, to }) => ({
    rule: rule.name,
    from,
    to,
  }));
  return { modules: ours.length, violations };
}

#!/usr/bin/env node
/**
 * Compiles src, gen and cli to dist when `dist` does not fit the sources.
 *
 * The build only translates: types are checked by `npm run check:types`, so that starting takes two
 * seconds and not twenty. A fresh `dist` is recognised by a hash over path, size and time of each
 * source file; a difference there is settled by the contents, so that a checkout or a copy that only
 * moved the times builds nothing.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
const stampFile = join(dist, '.built-from.json');
const lockFolder = join(root, 'node_modules', '.molten-build');

const SOURCE_FOLDERS = ['src', 'gen', 'cli'];
const SOURCE_FILES = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json', 'package.json'];
/** Files beside the sources that the server reads at run time. */
const COPIED = /\.(json|html|css|sql|js)$/;
/**
 * The page of the API comes ready-made: its package, with a hundred megabytes of what it was made of, is
 * needed for the build alone.
 */
const API_REFERENCE = join(root, 'node_modules/@scalar/api-reference/dist/browser/standalone.js');
const LOCK_WAIT_STEP_MS = 50;
const LOCK_WAIT_STEPS_MAX = 1_200;

/** Builds when needed; throws with one line when the compiler fails. Returns whether it built. */
export function ensureBuilt() {
  if (isFresh()) return false;
  return withLock(() => {
    if (isFresh()) return false;
    const sources = listSources();
    const stamp = { times: hashTimes(sources), contents: hashContents(sources) };
    if (readStamp()?.contents === stamp.contents) {
      writeFileSync(stampFile, JSON.stringify(stamp));
      return false;
    }
    compile(sources, stamp);
    return true;
  });
}

function isFresh() {
  const stamp = readStamp();
  return stamp !== undefined && stamp.times === hashTimes(listSources());
}

function readStamp() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Compiles into a folder beside `dist` and swaps it in, so that a running process sees no half build. */
function compile(sources, stamp) {
  const fresh = `${dist}.new`;
  rmSync(fresh, { recursive: true, force: true });
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const result = spawnSync(
    runtime(),
    [compiler, '-p', join(root, 'tsconfig.build.json'), '--noCheck', '--outDir', fresh],
    { cwd: root, encoding: 'utf8' },
  );
  if (result.status !== 0)
    throw new Error(`the build failed: ${result.stdout}${result.stderr}`.trim());
  for (const file of sources) {
    if (!COPIED.test(file) || SOURCE_FILES.includes(file)) continue;
    const copy = join(fresh, file);
    mkdirSync(dirname(copy), { recursive: true });
    writeFileSync(copy, readFileSync(join(root, file)));
  }
  mkdirSync(join(fresh, 'api-reference'));
  copyFileSync(API_REFERENCE, join(fresh, 'api-reference', 'standalone.js'));
  writeFileSync(join(fresh, '.built-from.json'), JSON.stringify(stamp));
  const old = `${dist}.old`;
  rmSync(old, { recursive: true, force: true });
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(fresh, dist);
  rmSync(old, { recursive: true, force: true });
}

function runtime() {
  const own = join(
    root,
    'node_modules',
    'node',
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  );
  return existsSync(own) ? own : process.execPath;
}

function listSources() {
  const found = SOURCE_FILES.filter((file) => existsSync(join(root, file)));
  for (const folder of SOURCE_FOLDERS) {
    if (!existsSync(join(root, folder))) continue;
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (entry.isFile())
        found.push(relative(root, join(entry.parentPath ?? entry.path, entry.name)));
    }
  }
  return found.sort();
}

function hashTimes(files) {
  const hash = createHash('sha256');
  for (const file of files) {
    const { size, mtimeMs } = statSync(join(root, file));
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function hashContents(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\n`).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/** One build at a time: a folder is the lock, and a lock whose process is gone is taken over. */
function withLock(action) {
  const owner = join(lockFolder, 'pid');
  for (let step = 0; !tryLock(); step += 1) {
    if (step >= LOCK_WAIT_STEPS_MAX || !isOwnerAlive(owner, step))
      rmSync(lockFolder, { recursive: true, force: true });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_WAIT_STEP_MS);
  }
  try {
    writeFileSync(owner, String(process.pid));
    return action();
  } finally {
    rmSync(lockFolder, { recursive: true, force: true });
  }
}

function tryLock() {
  mkdirSync(dirname(lockFolder), { recursive: true });
  try {
    mkdirSync(lockFolder);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

/** A lock without a pid is either one step young or left by a process that died in between. */
function isOwnerAlive(owner, step) {
  try {
    process.kill(Number(readFileSync(owner, 'utf8')), 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM' || (error.code === 'ENOENT' && step === 0);
  }
}

if (
  process.argv[1] !== undefined &&
  import.meta.url === pathToFileURL(resolve(process.argv[1])).href
) {
  try {
    ensureBuilt();
  } catch (error) {
    process.stderr.write(`molten: ${error.message}\n`);
    process.exitCode = 1;
  }
}

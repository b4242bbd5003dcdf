/**
 * Fills third_party/proto (git-ignored) with the proto files that the contract imports, from npm packages.
 *
 * Files are written only when their content differs, so that a run beside a running `buf` is harmless.
 * `buf/validate/validate.proto` ships in no npm package; it is printed from the descriptor that the
 * validator itself uses.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { file_buf_validate_validate as validate } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';

import { printProto } from './print-proto.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(root, 'third_party/proto');

/** Proto path → file below node_modules. */
const COPIED = {
  'google/api/annotations.proto': 'google-gax/build/protos/google/api/annotations.proto',
  'google/api/field_behavior.proto': 'google-gax/build/protos/google/api/field_behavior.proto',
  'google/api/http.proto': 'google-gax/build/protos/google/api/http.proto',
  'google/rpc/code.proto': 'google-gax/build/protos/google/rpc/code.proto',
  'google/rpc/error_details.proto': 'google-gax/build/protos/google/rpc/error_details.proto',
  'google/rpc/status.proto': 'google-gax/build/protos/google/rpc/status.proto',
  'grpc/health/v1/health.proto': 'grpc-health-check/proto/health/v1/health.proto',
  'grpc/reflection/v1/reflection.proto':
    '@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto',
  'grpc/reflection/v1alpha/reflection.proto':
    '@grpc/reflection/build/proto/grpc/reflection/v1alpha/reflection.proto',
};

const wanted = new Map([['buf/validate/validate.proto', printProto(validate.proto)]]);
for (const [path, source] of Object.entries(COPIED)) {
  wanted.set(path, readFileSync(join(root, 'node_modules', source), 'utf8'));
}

mkdirSync(target, { recursive: true });
for (const [path, text] of wanted) writeWhenDifferent(join(target, path), text);
for (const path of listFiles(target)) if (!wanted.has(path)) rmSync(join(target, path));

function writeWhenDifferent(file, text) {
  if (readOrUndefined(file) === text) return;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function readOrUndefined(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function listFiles(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'));
}

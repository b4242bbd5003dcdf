/**
 * Checks that every RPC of one request and one answer can be called by REST: it has a `google.api.http`
 * rule, or REST would lack it and nobody would notice.
 */
import { readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { hasOption } from '@bufbuild/protobuf';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'gen/molten/v1');
/** Fewer would mean that the search has gone astray. */
const RPCS_MIN = 80;

const { http } = await import(pathToFileURL(join(root, 'gen/google/api/annotations_pb.ts')));
const rpcs = (await Promise.all(readdirSync(folder).map(rpcsIn))).flat();
const lacking = rpcs.filter((rpc) => rpc.methodKind === 'unary' && !hasOption(rpc, http));
for (const { name, parent } of lacking) {
  process.stderr.write(`${parent.typeName}/${name} has no google.api.http rule; give it one\n`);
}
if (rpcs.length < RPCS_MIN) {
  process.stderr.write(`only ${rpcs.length} RPCs were found; expected at least ${RPCS_MIN}\n`);
}
if (lacking.length > 0 || rpcs.length < RPCS_MIN) process.exitCode = 1;

async function rpcsIn(file) {
  const exported = await import(pathToFileURL(join(folder, file)));
  const services = Object.values(exported).filter((one) => one?.kind === 'service');
  return services.flatMap(({ methods }) => methods);
}

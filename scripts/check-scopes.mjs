/**
 * Checks that every RPC of the contract declares what its caller must hold, and that this check still bites:
 * with the declaration of any one RPC taken out, it must report that RPC.
 */
import { spawnSync } from 'node:child_process';

const PACKAGE = 'molten.v1';
const SCOPE = `[${PACKAGE}.scope]`;
/** Targets that go with an action, and those that go with none. */
const WITH_ACTION = ['KEY', 'SOME_KEYS', 'COLLECTION', 'STORE'];
const WITHOUT_ACTION = ['PUBLIC', 'AUTHENTICATED', 'EACH_PART'];
const METHODS_MIN = 50;
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;

const built = spawnSync('buf', ['build', 'proto', '--exclude-source-info', '-o', '-#format=json'], {
  encoding: 'utf8',
  maxBuffer: OUTPUT_BYTES_MAX,
  shell: process.platform === 'win32',
});
const faults =
  built.error === undefined && built.status === 0
    ? judge(methodsOf(JSON.parse(built.stdout)))
    : [`buf build failed: ${built.error?.message ?? built.stderr}`];
for (const fault of faults) process.stderr.write(`${fault}\n`);
process.exitCode = faults.length === 0 ? 0 : 1;

function methodsOf(image) {
  return image.file
    .filter((file) => file.package === PACKAGE)
    .flatMap((file) => file.service ?? [])
    .flatMap(({ name: service, method }) =>
      (method ?? []).map(({ name, options }) => ({
        name: `${PACKAGE}.${service}/${name}`,
        scope: options?.[SCOPE],
      })),
    );
}

function judge(methods) {
  if (methods.length < METHODS_MIN) return [`only ${methods.length} RPCs were found`];
  const blind = methods.filter(({ name }) => faultOf({ name, scope: undefined }) === undefined);
  return [
    ...methods.map(faultOf).filter((fault) => fault !== undefined),
    ...blind.map(({ name }) => `${name} would pass without a scope`),
  ];
}

function faultOf({ name, scope }) {
  const target = scope?.target?.replace('SCOPE_TARGET_', '');
  const hasAction = (scope?.action ?? '') !== '';
  const known = hasAction ? WITH_ACTION : WITHOUT_ACTION;
  if (known.includes(target)) return undefined;
  const what = target === undefined ? 'declares no scope' : `declares ${target} wrongly`;
  const how = `option (${PACKAGE}.scope) with a target: ${WITHOUT_ACTION.join(', ')}, or with an action ${WITH_ACTION.join(', ')}`;
  return `${name} ${what}; give it ${how}`;
}

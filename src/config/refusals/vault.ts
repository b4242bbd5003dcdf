import type { OptionReader } from '../reader.ts';
import { isLoopback } from '../../platform/loopback.ts';
import { findIf, type Finding, type Refusal } from '../refusal.ts';

/** What each way to sign in needs. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  token: ['vault-token'],
  approle: ['vault-role-id', 'vault-secret-id'],
  kubernetes: ['vault-role'],
};

/** Refusals about Vault; nothing is asked of it before they find nothing. */
export const VAULT_REFUSALS: readonly Refusal[] = [
  {
    name: 'Vault by TLS',
    when: '`--vault-address` that is no such address, holds a password, or is not https and beyond this machine.',
    judge({ read }) {
      const address = read.text('vault-address');
      return address === undefined ? [] : judgeAddress(address);
    },
  },
  {
    name: 'Vault can be signed in to',
    when: '`--vault-address` without what `--vault-auth` needs.',
    judge: ({ read }) => (read.text('vault-address') === undefined ? [] : judgeNeeds(read)),
  },
];

function judgeAddress(text: string): readonly Finding[] {
  const option = 'vault-address';
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    const fix = 'give one such as https://vault.example.org:8200';
    return [{ option, why: 'is no address of http or https', fix }];
  }
  if (url.username !== '' || url.password !== '') {
    return [{ option, why: 'holds a user name or a password', fix: 'use --vault-auth' }];
  }
  return findIf(url.protocol === 'http:' && !isLoopback(url.hostname), {
    ...{ option, why: 'is not https, and secrets would cross the network in the clear' },
    fix: 'use https',
  });
}

function judgeNeeds(read: OptionReader): readonly Finding[] {
  const method = read.text('vault-auth') ?? '';
  return (NEEDS[method] ?? []).flatMap((option) =>
    findIf((read.text(option) ?? '') === '', {
      ...{ option, why: 'is missing', fix: `--vault-auth ${method} needs it` },
    }),
  );
}

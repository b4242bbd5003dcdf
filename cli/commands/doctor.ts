import type { Interfaces } from '@oclif/core';

import { variable } from '../../src/config/environment.ts';
import { withVault } from '../../src/config/vault.ts';
import { readClientCertificate } from '../lib/client-certificate.ts';
import { configFlags, readLine, sourcesOf, type ConfigLine } from '../lib/config-flags.ts';
import { examineConfiguration, examineLine, isConfigured } from '../lib/doctor/configuration.ts';
import { lineOf, type Finding } from '../lib/doctor/finding.ts';
import { examineInside } from '../lib/doctor/inside.ts';
import { examineOutside } from '../lib/doctor/outside.ts';
import { EXIT } from '../lib/exit-codes.ts';
import { DEFAULT_PROFILE, MoltenCommand, type ServerFlags } from '../lib/molten-command.ts';

/** Looks at a configuration and at a running server, and says what should be mended. */
export default class Doctor extends MoltenCommand {
  static override readonly summary = 'Say what of a configuration and a running server is unsafe.';
  static override readonly description =
    'Looks at a configuration when flags, variables or .env give one, and at a server when --url, MOLTEN_URL or --profile names one. Each line is ok, warn or FAIL, with how to mend it. Ends with exit code 1 when a line says FAIL.';
  static override readonly flags: Interfaces.FlagInput = configFlags;
  static override readonly examples: string[] = [
    '<%= config.bin %> doctor --config molten.toml',
    '<%= config.bin %> doctor --url https://db.example.org:1538',
  ];

  async run(): Promise<unknown> {
    const line = await readLine(() => this.parse(Doctor));
    const findings = await this.#examine(line);
    for (const finding of findings) this.log(lineOf(finding));
    const ok = findings.every(({ verdict }) => verdict !== 'FAIL');
    if (!ok) process.exitCode = EXIT.failure;
    return { ok, findings };
  }

  async #examine(line: ConfigLine): Promise<readonly Finding[]> {
    const server = line.flags as unknown as ServerFlags;
    const url = server.url ?? variable('MOLTEN_URL');
    const isServerAsked = url !== undefined || server.profile !== DEFAULT_PROFILE;
    const sources = await withVault(sourcesOf(line));
    const findings: Finding[] = [];
    if (!isServerAsked || isConfigured(sources)) findings.push(...examineConfiguration(sources));
    else findings.push(...examineLine(sources));
    if (!isServerAsked) return findings;
    const certificate = readClientCertificate();
    const outside = await examineOutside({ url: this.target(server).url, certificate });
    findings.push(...outside);
    if (outside.length > 1) findings.push(...(await examineInside(this.client(server))));
    return findings;
  }
}

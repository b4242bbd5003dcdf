import type { StoredDocument } from '../../../src/storage/types.ts';
import { collectionOf } from './memory-engine.ts';

/** Six laptops with their memory and display, small enough to count by hand. */
const laptop = (
  [model, brand]: readonly [string, string],
  price: number,
  more: {
    readonly stocked: boolean;
    readonly memory: string;
    readonly display: string;
    readonly cores: number;
    readonly cpu: string;
    readonly tags: readonly string[];
  },
) => ({
  ...{ model, brand, price },
  in_stock: more.stocked,
  memory_id: more.memory,
  display_id: more.display,
  specs: { cpu: { brand: more.cpu, cores: more.cores } },
  tags: more.tags,
});

export const LAPTOPS: readonly StoredDocument[] = collectionOf('laptops', {
  lp1: laptop(['ThinkPad X1', 'Lenovo'], 1499, {
    ...{ stocked: true, memory: 'mem2', display: 'dsp2', cores: 12, cpu: 'Intel' },
    tags: ['business'],
  }),
  lp2: laptop(['MacBook Pro 16', 'Apple'], 3499, {
    ...{ stocked: true, memory: 'mem5', display: 'dsp4', cores: 12, cpu: 'Apple' },
    tags: ['creative'],
  }),
  lp3: laptop(['ROG Zephyrus', 'Asus'], 1699, {
    ...{ stocked: true, memory: 'mem3', display: 'dsp5', cores: 8, cpu: 'AMD' },
    tags: ['gaming', 'portable'],
  }),
  lp4: laptop(['XPS 15', 'Dell'], 1899, {
    ...{ stocked: false, memory: 'mem3', display: 'dsp4', cores: 14, cpu: 'Intel' },
    tags: ['creative'],
  }),
  lp5: laptop(['Blade 15', 'Razer'], 2499, {
    ...{ stocked: true, memory: 'mem4', display: 'dsp3', cores: 14, cpu: 'Intel' },
    tags: ['gaming'],
  }),
  lp6: laptop(['Laptop 13', 'Framework'], 849, {
    ...{ stocked: true, memory: 'mem1', display: 'dsp1', cores: 10, cpu: 'Intel' },
    tags: ['repairable'],
  }),
});

export const PARTS: readonly StoredDocument[] = [
  ...collectionOf('memory', {
    mem1: { capacity_gb: 8, upgradeable: false },
    mem2: { capacity_gb: 16, upgradeable: false },
    mem3: { capacity_gb: 32, upgradeable: true },
    mem4: { capacity_gb: 64, upgradeable: true },
    mem5: { capacity_gb: 36, upgradeable: false },
  }),
  ...collectionOf('display', {
    dsp1: { refresh_hz: 60, panel: 'IPS' },
    dsp2: { refresh_hz: 90, panel: 'OLED' },
    dsp3: { refresh_hz: 144, panel: 'IPS' },
    dsp4: { refresh_hz: 120, panel: 'Mini-LED' },
    dsp5: { refresh_hz: 165, panel: 'IPS' },
  }),
];

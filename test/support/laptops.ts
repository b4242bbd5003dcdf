import type { TestServer } from './server.ts';

const CAPACITIES = [8, 16, 32, 64, 36];
const RATES = [60, 90, 144, 120, 165];
const PANELS = ['IPS', 'OLED', 'IPS', 'Mini-LED', 'IPS'];

interface Laptop {
  readonly brand: string;
  readonly model: string;
  readonly price: number;
  readonly stocked: boolean;
  readonly memory: string;
  readonly display: string;
  readonly cores: number;
  readonly cpu: string;
  readonly tags: readonly string[];
}

const row = (texts: readonly string[], numbers: readonly number[], stocked = true): Laptop => {
  const [brand = '', model = '', memory = '', display = '', cpu = '', ...tags] = texts;
  const [price = 0, cores = 0] = numbers;
  return { brand, model, price, stocked, memory, display, cores, cpu, tags };
};

const LAPTOPS: readonly Laptop[] = [
  row(['Lenovo', 'ThinkPad X1', 'mem2', 'dsp2', 'Intel', 'business'], [1499, 12]),
  row(['Apple', 'MacBook Pro', 'mem5', 'dsp4', 'Apple', 'creative'], [3499, 12]),
  row(['Asus', 'ROG Zephyrus', 'mem3', 'dsp5', 'AMD', 'gaming'], [1699, 8]),
  row(['Dell', 'XPS 15', 'mem3', 'dsp4', 'Intel', 'creative'], [1899, 14], false),
  row(['Razer', 'Blade 16', 'mem4', 'dsp3', 'Intel', 'gaming'], [2499, 14]),
  row(['Framework', 'Laptop 13', 'mem1', 'dsp1', 'Intel', 'modular'], [849, 10]),
];

function keyed<T>(prefix: string, items: readonly T[]): Record<string, T> {
  return Object.fromEntries(items.map((item, at) => [`${prefix}${String(at + 1)}`, item]));
}

/** The collections that the requests of MoltenDB's own suite are written for. */
export const COLLECTIONS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  memory: keyed(
    'mem',
    CAPACITIES.map((capacity, at) => ({
      capacity_gb: capacity,
      upgradeable: at === 2 || at === 3,
    })),
  ),
  display: keyed(
    'dsp',
    RATES.map((rate, at) => ({ refresh_hz: rate, panel: PANELS[at] })),
  ),
  laptops: keyed(
    'lp',
    LAPTOPS.map(({ brand, model, price, stocked, memory, display, cores, cpu, tags }) => ({
      ...{ brand, model, price, tags, in_stock: stocked },
      ...{ memory_id: memory, display_id: display, specs: { cpu: { brand: cpu, cores } } },
    })),
  ),
};

/** Puts the three collections into a server, through the compatibility routes. */
export async function seedLaptops(server: TestServer): Promise<void> {
  for (const [collection, data] of Object.entries(COLLECTIONS)) {
    const { status } = await server.asRoot('POST', '/set', { collection, data });
    if (status !== 200) throw new Error(`seeding ${collection} gave ${String(status)}`);
  }
}

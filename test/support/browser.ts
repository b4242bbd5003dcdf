/** A browser as far as signing in needs one: redirects, cookies of one host, and forms that send themselves. */
export interface Browser {
  /** Goes to an address and through its redirects; the address that it ends at, which is not asked for. */
  follow(url: string, until: string): Promise<string>;
  /** Goes to an address and sends every form that it shows, until there is none that is filled in. The last page. */
  submit(url: string): Promise<string>;
}

const STEPS_MAX = 20;

/** Opens a browser without cookies. */
export function openBrowser(): Browser {
  const cookies = new Map<string, string>();

  async function ask(url: string, body?: URLSearchParams): Promise<Response> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, {
      ...{ redirect: 'manual', headers: { cookie } },
      ...(body === undefined ? {} : { method: 'POST', body }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    return response;
  }

  /** Through redirects, to a page or to an address that begins with `until`. */
  async function go(
    first: string,
    { until, body }: { readonly until?: string; readonly body?: URLSearchParams },
  ): Promise<{ url: string; page: string }> {
    let [url, form] = [first, body];
    for (let step = 0; step < STEPS_MAX; step++) {
      if (until !== undefined && url.startsWith(until)) return { url, page: '' };
      const response = await ask(url, form);
      const location = response.headers.get('location');
      if (location === null) return { url, page: await response.text() };
      await response.arrayBuffer();
      [url, form] = [new URL(location, url).href, undefined];
    }
    throw new Error(`no end of redirects at ${url}`);
  }

  return {
    async follow(url, until) {
      const end = await go(url, { until });
      if (!end.url.startsWith(until)) throw new Error(`stopped at ${end.url}: ${end.page}`);
      return end.url;
    },
    async submit(url) {
      let end = await go(url, {});
      for (let step = 0; step < STEPS_MAX; step++) {
        const [, action] = /<form[^>]*action="([^"]+)"/.exec(end.page) ?? [];
        if (action === undefined || end.page.includes('type="text"')) return end.page;
        const fields = [...end.page.matchAll(/<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g)];
        const body = new URLSearchParams(
          fields.map(([, name = '', value = '']): [string, string] => [name, value]),
        );
        end = await go(new URL(action, end.url).href, { body });
      }
      throw new Error(`no end of forms at ${end.url}`);
    },
  };
}

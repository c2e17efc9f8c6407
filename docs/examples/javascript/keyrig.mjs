// What 'keyrig exec' gives to the tests that it runs: security keys, a finger over them, and a
// browser that finds them. Copy this file beside yours, once. It is for Node 18 or later.

/** What the user types where a key asks for a PIN. One that has none is given it. */
const pin = '1234';

/** navigator.credentials.create() in a page of an origin: options in, credential out. */
export const create = (origin, options) => ask('POST', 'client/create', { origin, pin, options });

/** navigator.credentials.get(). */
export const get = (origin, options) => ask('POST', 'client/get', { origin, pin, options });

/** Puts the finger over a key: it is touched when a page asks for that. */
export const finger = (key) => ask('PUT', 'finger', { key });

/** Takes a key out. */
export const unplug = (key) => ask('POST', `keys/${key}/unplug`);

/** Puts it back. */
export const plug = (key) => ask('POST', `keys/${key}/plug`);

/**
 * What keyrig did not do, and why. `code` is stable: 'keyrig explain CODE' tells what it stands
 * for. Of a ceremony it has the exception's `name` in the page, `refused_by` and `reason` too.
 */
export class Refused extends Error {
  constructor(request, { message, ...error }) {
    super(`${request}: ${error.reason ?? message} (${error.code})`);
    Object.assign(this, error);
  }
}

async function ask(method, path, body = {}) {
  const { KEYRIG_URL, KEYRIG_TOKEN } = process.env;
  if (!KEYRIG_URL) throw new Error("no KEYRIG_URL: run 'keyrig exec --key a=keyrig -- COMMAND'");
  const authorization = `Bearer ${KEYRIG_TOKEN}`;
  const answer = await send(method, `${KEYRIG_URL}/v1/${path}`, body, { authorization });
  const json = await answer.json();
  if (!answer.ok) throw new Refused(`${method} ${path}`, json.error);
  return json;
}

/** What is tested, asked in JSON. Any answer but a success is an error. */
export class Site {
  constructor(url) {
    this.url = url;
  }

  get(path) {
    return this.ask('GET', path);
  }

  post(path, body) {
    return this.ask('POST', path, body);
  }

  async ask(method, path, body) {
    const answer = await send(method, this.url + path, body);
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }
}

function send(method, url, body, headers = {}) {
  const type = { 'content-type': 'application/json' };
  return fetch(url, { method, headers: { ...type, ...headers }, body: JSON.stringify(body) });
}

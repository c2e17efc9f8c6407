// A rack of security keys over HTTP, in the words of its other faces.
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

/** What keyrig was asked for could not be done, for a reason with a stable code. */
export class KeyrigError extends Error {
  constructor(details) {
    super(details.message ?? details.reason ?? JSON.stringify(details));
    this.name = 'KeyrigError';
    this.code = details.code;
    this.details = details;
  }
}

/** A ceremony was refused: `errorName` and `message` are what a page catches, `refusedBy` and `reason` what a browser keeps to itself. */
export class Refused extends KeyrigError {
  constructor(details) {
    super(details);
    this.name = 'Refused';
    this.errorName = details.name;
    this.refusedBy = details.refused_by;
    this.reason = details.reason;
    this.whatToDo = details.what_to_do;
  }
}

/** A rack. */
export class Keyrig {
  constructor(url, token, program, trace) {
    this.url = url;
    this.token = token;
    this.program = program;
    this.traceFile = trace;
  }

  /** Any request of the interface, which /v1/openapi.json describes. */
  async ask(method, path, body) {
    return (await this.send(method, path, body)).json;
  }

  async send(method, path, body) {
    const headers = { authorization: `Bearer ${this.token}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const answer = await fetch(`${this.url}/v1/${path}`, { method, headers, body: JSON.stringify(body) });
    const text = await answer.text();
    const json = text ? JSON.parse(text) : null;
    if (answer.ok) return { json, headers: answer.headers };
    const details = json?.error ?? { message: `${method} ${path}: status ${answer.status}: ${text}` };
    throw details.refused_by ? new Refused(details) : new KeyrigError(details);
  }

  /** Makes a key, and plugs it in: `key('yubikey-5.7', { name: 'a', pin: '1234' })`. `keyrig profiles` lists the profiles. */
  async key(profile = 'keyrig', { name, ...more } = {}) {
    const taken = new Set((await this.keys()).map((key) => key.name));
    let free = profile;
    for (let number = 2; taken.has(free); number += 1) free = `${profile}-${number}`;
    await this.ask('POST', 'keys', { name: name ?? free, profile, ...more });
    return new Key(this, name ?? free, profile);
  }

  /**
   * Gives documents of a context, from the next on, a script in the place of `navigator.credentials`, which asks this rack: where no key reaches
   * the browser. Of which page a frame is, Playwright says, not the page.
   */
  async askFrom(context) {
    const script = await this.text('page.js');
    const under = new Map();
    await context.exposeBinding('askKeyrig', async ({ frame }, text) => {
      const { id, ceremony, ...asked } = JSON.parse(text);
      if (ceremony === 'abort') {
        under.get(id)?.abort();
        return 'null';
      }
      const chain = [];
      for (let at = frame; at; at = at.parentFrame()) chain.push(new URL(at.url()).origin);
      const [origin, ...above] = chain;
      const place = above.length === 0 ? { origin } : { origin, top_origin: above.at(-1), ancestors: above.slice(0, -1) };
      const giveUp = new AbortController();
      under.set(id, giveUp);
      try {
        const body = ceremony === 'capabilities' ? {} : { ...place, ...asked };
        return await this.text(`client/${ceremony}`, { method: 'POST', signal: giveUp.signal, body: JSON.stringify(body) });
      } finally {
        under.delete(id);
      }
    });
    await context.addInitScript(`${script}({ ask: globalThis.askKeyrig })`);
  }

  async text(path, asked = {}) {
    const headers = { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' };
    return (await fetch(`${this.url}/v1/${path}`, { headers, ...asked })).text();
  }

  async keys() {
    return (await this.ask('GET', 'keys')).keys.map(({ name, profile }) => new Key(this, name, profile));
  }

  /** A page of keyrig's own client, without a browser: `client('https://example.com', { pin, browser, on }).create(options)`. */
  client(origin, { on, ...more } = {}) {
    const page = { origin, ...more, ...(on && { on: on.map((key) => key.name) }) };
    const ceremony = async (name, options) => {
      const read = typeof options === 'string' ? JSON.parse(options) : options;
      return this.ask('POST', `client/${name}`, { ...page, options: read });
    };
    return { create: (options) => ceremony('create', options), get: (options) => ceremony('get', options) };
  }

  /** Puts the finger over a key; without one, over the first that is plugged in. */
  async finger(key) {
    await this.ask('PUT', 'finger', key ? { key: key.name } : {});
  }

  /** What the finger does: auto, manual, deny, every or after=MILLISECONDS. */
  async touchPolicy(policy) {
    await this.ask('PUT', 'touch-policy', { policy });
  }

  /** What happened behind the event of this number; if nothing has, waits until something does. */
  async events(after = 0, { timeout = 0 } = {}) {
    return (await this.ask('GET', `events?after=${after}&timeout_ms=${timeout}`)).events;
  }

  /** What the keys were asked and answered since the browser began, as events; secrets are masked. */
  async trace() {
    // It is written a little later than it happens: so a word is given, and waited for.
    const word = `playwright-${randomUUID()}`;
    await this.ask('POST', 'notes', { note: JSON.stringify({ note: 'answered', id: word, at_unix_ms: 0, status: 200 }) });
    const following = spawn(this.program, ['trace', '--follow', '--json', this.traceFile], { stdio: ['ignore', 'pipe', 'inherit'] });
    const events = [];
    try {
      for await (const line of createInterface({ input: following.stdout })) {
        const event = JSON.parse(line);
        if (event.id === word) return events;
        if (!String(event.id).startsWith('playwright-')) events.push(event);
      }
      throw new KeyrigError({ code: 'no-trace', message: `${this.traceFile} cannot be followed` });
    } finally {
      following.kill();
    }
  }

  /**
   * The same for people, behind who said no in each ceremony that failed since then (in milliseconds, as of Date.now()): reporters show the
   * first characters alone.
   */
  async traceText(since = 0) {
    const [{ started_unix_us: started }] = await this.trace();
    const show = async (...how) => (await promisify(execFile)(this.program, ['trace', this.traceFile, ...how])).stdout;
    const told = (await show('--explain', '--json')).split('\n').filter((line) => line).map((line) => JSON.parse(line));
    const said = told.filter(({ began_at_us: at }) => started + at >= since * 1000).map(({ text }) => `${text}\n`);
    return `${said.join('')}${await show()}`;
  }
}

/** A security key. What waits does so for `timeout` milliseconds; with 0 it does not. */
export class Key {
  constructor(keyrig, name, profile) {
    this.keyrig = keyrig;
    this.name = name;
    this.profile = profile;
  }

  ask(method, what = '', body = undefined) {
    return this.keyrig.ask(method, `keys/${encodeURIComponent(this.name)}${what}`, body);
  }

  async gesture(what, timeout, more = {}) {
    await this.ask('POST', what, timeout > 0 ? { wait: true, timeout_ms: timeout, ...more } : more);
  }

  /** Touches it as soon as it waits for that. */
  async touch({ timeout = 30_000 } = {}) { await this.gesture('/touch', timeout); }
  /** Refuses at it as soon as it waits. */
  async deny({ timeout = 30_000 } = {}) { await this.gesture('/deny', timeout); }
  /** Touches a key that verifies its user itself, as its user, or with `miss` as somebody else. */
  async verify({ miss = false, timeout = 30_000 } = {}) { await this.gesture('/verify', timeout, { miss }); }
  /** Waits for 'touch', 'plugged' or 'attached'. */
  async wait(what = 'touch', { timeout = 30_000 } = {}) { await this.ask('POST', '/wait', { for: what, timeout_ms: timeout }); }
  async plug() { await this.ask('POST', '/plug'); }
  async unplug() { await this.ask('POST', '/unplug'); }
  async powerCycle() { await this.ask('POST', '/power-cycle'); }
  async reset() { await this.ask('POST', '/reset'); }
  async remove() { await this.ask('DELETE'); }
  /** All that it keeps, as text. Private keys are in it, unencrypted. */
  async snapshot() { return (await this.ask('GET', '/snapshot')).snapshot; }
  async restore(snapshot) { await this.ask('PUT', '/snapshot', { snapshot }); }
  async setPin(pin) { await this.ask('POST', '/pin', { pin }); }
  async credentials() { return (await this.ask('GET', '/credentials')).credentials; }
  /** Switches a fault on, as `keyrig faults` says. */
  async fault(fault) { await this.ask('POST', '/faults', { fault }); }
}

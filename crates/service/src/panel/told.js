// What is told: ceremonies that were refused, and the transcript.

import { element, find, printable, show, soon, write } from './core.js';
import { changedInside, takeOnlySite, takeSite } from './keys.js';

// How many of each are shown: the latest.
const MOST_ROWS = 300;
const MOST_REFUSALS = 30;

const BY = {
  key: 'refused by a key', user: 'refused by the user', browser: 'refused by the browser', page: 'aborted by the page',
  site: 'refused by the site', unknown: 'given up',
};

// What was asked and is not answered, by exchange; of each key the latest, and what it waits for a touch for.
const open = new Map();
const latest = new Map();
const touches = new Map();
// The sites of pages that wait for an answer.
const pages = new Map();
// Rows that are new since the last picture.
let fresh = [];
let isPaused = false;

const seconds = (us) => (us / 1e6).toFixed(3);
const took = (us) => (us < 1000 ? `${us} µs` : us < 1e6 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1e6).toFixed(1)} s`);
// Where browsers want a touch for a credential that nobody wants: Chromium, and Firefox.
const DUMMIES = ['.dummy', 'make.me.blink'];
function siteOf(members) {
  // Who has a key chosen by an empty pinUvAuthParam says no site that counts (libfido2: localhost).
  if (members?.pinUvAuthParam === '') return null;
  const site = members?.rpId ?? members?.rp?.id ?? null;
  return DUMMIES.includes(site) ? null : site;
}

// What a key was asked last and has not answered, of a command if one is said.
const lastOpen = (key, command) => [...open.values()].findLast((one) => one.key === key && (!command || one.request.command === command));

class Exchange {
  constructor(at, key, told) {
    Object.assign(this, { at, key, request: told, response: null, touch: '', site: siteOf(told.members) });
  }

  answer(told) {
    this.response = told;
    this.site ??= siteOf(told.members);
    this.changed();
  }

  // Nobody waits for an answer any more, or there will be none.
  end() {
    this.isOver = true;
    open.delete(this.request.exchange);
    this.changed();
  }

  changed() {
    if (this.row) soon(this, () => this.fill());
  }

  // Its row, which is made when it is shown.
  made() {
    this.time = element('span', { className: 'time' }, seconds(this.at));
    this.name = element('strong', {}, this.key);
    this.command = element('span', { className: 'command' }, [this.request.command, this.request.subcommand].filter(Boolean).join(' '));
    this.what = element('span', { className: 'soft' });
    this.status = element('span', { className: 'status' });
    const details = element('details', {}, element('summary', {}, this.time, this.name, this.command, this.status, this.what));
    details.addEventListener('toggle', () => this.tell(details));
    this.details = details;
    this.row = element('li', {}, details);
    this.row.dataset.key = this.key;
    this.fill();
    return this.row;
  }

  fill() {
    const { response, touch, site, isOver } = this;
    const isGood = response?.status === 'CTAP2_OK' || response?.status === 'SW_NO_ERROR';
    write(this.status, response?.status ?? (isOver ? 'not answered' : 'under way'));
    this.status.className = `status ${response ? (isGood ? 'good' : 'bad') : ''}`;
    write(this.what, [site, touch, response ? took(response.took_us) : null].filter(Boolean).join(' · '));
    if (this.details.open) this.tell(this.details);
  }

  // All members, once somebody looks.
  tell(details) {
    const parts = [['Asked', this.request], ['Answered', this.response]].filter(([, told]) => told);
    const shown = parts.flatMap(([title, { members, malformed }]) => {
      const pre = element('pre', { tabIndex: 0 });
      pre.textContent = (malformed ? `${printable(malformed)}\n` : '') + JSON.stringify(members ?? {}, null, 1).split('\n').map(printable).join('\n');
      return [element('p', { className: 'part' }, title), pre];
    });
    details.replaceChildren(details.firstElementChild, ...(details.open ? shown : []));
  }
}

// Something that is no exchange.
const note = (at, key, words, kind = '') => ({
  key,
  made() {
    const row = element('li', { className: `note ${kind}` }, element('span', { className: 'time' }, seconds(at)), key ? element('strong', {}, key) : null, element('span', {}, words));
    if (key) row.dataset.key = key;
    return row;
  },
});

const NOTES = {
  plugged: () => 'is plugged in', unplugged: () => 'is pulled out', attached: () => 'is taken by a USB host', detached: () => 'is let go by its USB host',
  winked: () => 'winks', 'touched-unasked': () => 'is touched, though it waits for nothing', administered: () => 'its owner changes what it keeps',
  'fault-on': ({ fault }) => `fault on: ${fault}`, 'fault-off': ({ fault }) => (fault ? `fault off: ${fault}` : 'all faults off'),
  fault: ({ fault }) => `fault: ${fault}`, 'cancel-asked': () => 'whoever asks it directly cancels', abandoned: () => 'whoever asked it directly has gone',
  gap: ({ missed }) => `${missed} events are missing here`,
};

function observed({ note: kind, ceremony, origin, options, exception, status }) {
  if (kind === 'began') return `page ${origin}: ${ceremony} for ${options?.rp_id ?? 'no RP ID'}`;
  if (kind === 'answered') return `site: status ${status}`;
  return exception ? `page: ${exception.name}: ${exception.message}` : 'page: it has the credential';
}

// An event of the transcript.
export function take(told) {
  const { event, key = null, at_us: at } = told;
  switch (event) {
    case 'request': {
      const exchange = new Exchange(at, key, told);
      open.set(told.exchange, exchange);
      latest.set(key, exchange);
      if (exchange.site) takeSite(key, exchange.site);
      add(exchange);
      return;
    }
    case 'response': {
      const exchange = open.get(told.exchange);
      open.delete(told.exchange);
      exchange?.answer(told);
      // Somebody else may be asking it meanwhile.
      takeSite(key, lastOpen(key)?.site ?? null);
      if (told.command === 'authenticatorClientPIN') changedInside(key);
      return;
    }
    case 'waiting': case 'wait-ended': {
      // U2F answers at once, and is asked again.
      const exchange = event === 'waiting' ? lastOpen(key, told.command) ?? latest.get(key) : touches.get(key);
      if (!exchange) return;
      if (event === 'waiting') touches.set(key, exchange);
      else touches.delete(key);
      exchange.touch = event === 'waiting' ? 'waits' : told.touch;
      exchange.changed();
      if (event === 'waiting') takeSite(key, exchange.site);
      return;
    }
    case 'explained':
      refuse(at, told);
      return;
    case 'observed':
      wait(told);
      add(note(at, null, observed(told), 'of-page'));
      return;
    default:
      if (['unplugged', 'detached', 'abandoned'].includes(event)) {
        latest.get(key)?.end();
        takeSite(key, null);
      }
      if (event.startsWith('fault') || event === 'administered') changedInside(key);
      if (NOTES[event]) add(note(at, key, NOTES[event](told), event.startsWith('fault') ? 'of-fault' : ''));
  }
}

function wait({ note: kind, id, options, origin }) {
  // The host of the origin, if no RP ID was said (WebAuthn Level 3 §5.1.3 step 7).
  if (kind === 'began') pages.set(id, options?.rp_id ?? origin?.replace(/^[a-z]+:\/\//, '').replace(/:\d+$/, '') ?? '');
  else pages.delete(id);
  const sites = new Set(pages.values());
  takeOnlySite(sites.size === 1 ? [...sites][0] : null);
}

function add(row) {
  fresh.push(row);
  // Of many only the latest come to be seen.
  if (fresh.length > 2 * MOST_ROWS) fresh = fresh.slice(-MOST_ROWS);
  if (!isPaused) soon('rows', place);
}

function place() {
  const list = find('exchanges');
  const key = find('of-key').value;
  const rows = fresh.slice(-MOST_ROWS).reverse().map((row) => {
    const made = row.made();
    show(made, !key || made.dataset.key === key || !made.dataset.key);
    return made;
  });
  fresh = [];
  list.prepend(...rows);
  while (list.childElementCount > MOST_ROWS) list.lastElementChild.remove();
  show(find('no-exchange'), list.childElementCount === 0);
}

// A ceremony that has failed: a page's, or that of a program that is no browser.
function refuse(at, { ceremony, rp_id: site, asked_by: program, refused_by: by, keys, page, text }) {
  const ofProgram = { create: 'Registration', get: 'Assertion' }[ceremony] ?? 'Request';
  const title = `${program ? ofProgram : ceremony ? `${ceremony}()` : 'A ceremony'}${site ? ` for ${site}` : ''}`;
  const list = element('ul', { className: 'rows' }, ...keys.map(({ key, command, status }) => element('li', {},
    element('strong', {}, key), element('small', {}, element('code', {}, `${command}: ${status ?? 'no answer'}`)))));
  const caught = page?.exception ? element('p', {}, element('code', {}, page.exception.name), `: ${page.exception.message}`) : null;
  const where = page ? element('p', { className: 'soft' }, `Page: ${page.origin}`) : null;
  const item = element('li', {},
    element('div', { className: 'title' }, element('h3', {}, title), element('span', { className: 'badge bad' }, BY[by] ?? by), element('span', { className: 'time' }, `${seconds(at)} s`)),
    where, caught, keys.length > 0 ? list : null, element('p', {}, text));
  const refusals = find('refusals');
  soon({}, () => {
    refusals.prepend(item);
    while (refusals.childElementCount > MOST_REFUSALS) refusals.lastElementChild.remove();
    show(find('no-refusal'), false);
  });
}

export function begin() {
  const pause = find('pause');
  pause.addEventListener('click', () => {
    isPaused = !isPaused;
    pause.ariaPressed = String(isPaused);
    write(pause, isPaused ? 'Go on' : 'Pause');
    if (!isPaused) place();
  });
  find('of-key').addEventListener('change', ({ target }) => {
    for (const row of find('exchanges').children) show(row, !target.value || row.dataset.key === target.value || !row.dataset.key);
  });
}

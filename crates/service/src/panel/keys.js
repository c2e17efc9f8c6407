// The keys, a card for each: what one looks like, what it waits for, and what can be done to it at once. A card is changed where it is
// another than before, and nothing else is.

import { button, call, element, find, ofKey, on, printable, say, show, soon, write } from './core.js';
import { drawing } from './drawing.js';
import { Inside } from './inside.js';

const FOR = {
  authenticatorMakeCredential: 'to register', authenticatorGetAssertion: 'to log in', authenticatorSelection: 'to be chosen among several',
  authenticatorReset: 'to forget everything', authenticatorBioEnrollment: 'to learn a finger', authenticatorClientPIN: 'to know its user',
  U2F_REGISTER: 'to register by U2F', U2F_AUTHENTICATE: 'to log in by U2F',
};

// What browsers ask a key before they say for which site.
const BEFORE_SITE = ['authenticatorSelection', 'authenticatorMakeCredential', 'authenticatorGetAssertion'];

// How many that wait are listed above all keys.
const MOST_LISTED = 8;

const cards = new Map();
const waiting = new Map();
let profiles = new Map();
let onlySite = null;

export function useProfiles(known) {
  profiles = new Map(known.map((profile) => [profile.name, profile]));
}

// What a key waits for, in words, and where.
const why = ({ waiting_for: command, for_verification: isVerification }, where) => (
  `waits for ${isVerification ? 'its user' : 'a touch'}${FOR[command] ? ` ${FOR[command]}` : ''}${where}`
);

function place({ plugged, attached, programs, busid }) {
  if (!plugged) return 'unplugged';
  const used = programs > 0 ? `used by ${programs} program${programs === 1 ? '' : 's'}` : null;
  const host = attached ? 'attached to a host' : null;
  return [host, used].filter(Boolean).join(', ') || (busid ? 'plugged in' : 'in the platform, on no USB');
}

const touch = (name) => call('POST', ofKey(name, '/touch'), {});
const deny = (name) => call('POST', ofKey(name, '/deny'), {});
const verify = (name, miss) => call('POST', ofKey(name, '/verify'), { miss });

// What a click on a key does: what it waits for.
async function press({ name, state }) {
  if (state.waiting_for && state.for_verification) await verify(name, false);
  else await touch(name);
}

class Card {
  constructor(name) {
    this.name = name;
    this.site = null;
    this.profile = null;
    this.picture = element('button', { type: 'button', className: 'key' });
    on(this.picture, 'click', () => press(this));
    this.title = element('h3', {}, name);
    this.kind = element('p', { className: 'kind' });
    this.place = element('p', { className: 'place soft' });
    this.why = element('p', { className: 'why' });
    this.command = element('code', { className: 'soft' });
    this.gestures = element('div', { className: 'buttons gestures' });
    this.plug = button('Unplug', name, () => call('POST', ofKey(name, this.state.plugged ? '/unplug' : '/plug'), {}));
    this.finger = element('span', { className: 'badge', hidden: true }, 'finger');
    this.held = element('span', { className: 'badge plain', hidden: true });
    this.inside = new Inside(this);
    this.root = element('li', { className: 'card' },
      this.picture,
      element('div', { className: 'title' }, this.title, this.finger, this.held, this.plug),
      this.kind, this.place, this.why, this.command, this.gestures, this.inside.root);
    this.root.dataset.key = name;
    this.picture.addEventListener('animationend', ({ animationName }) => animationName === 'press' && this.root.classList.remove('touched'));
  }

  take(state) {
    this.state = state;
    this.changed();
  }

  // The site that it is asked for, by its own word. A browser may have it chosen before that, for the only page that asks, unless somebody else does.
  where() {
    if (this.site) return ` at ${this.site}`;
    return onlySite && BEFORE_SITE.includes(this.state.waiting_for) ? `, probably at ${onlySite}` : '';
  }

  ask(site) {
    if (this.site === site) return;
    this.site = site;
    if (this.state?.waiting_for) this.changed();
  }

  changed() {
    soon(`card ${this.name}`, () => this.draw());
  }

  draw() {
    const { state, name, root } = this;
    if (!state || !cards.has(name)) return;
    if (this.profile !== state.profile) {
      this.profile = state.profile;
      this.picture.replaceChildren(drawing(profiles.get(state.profile), state.busid !== undefined));
    }
    const asks = Boolean(state.waiting_for);
    const classes = { out: !state.plugged, fingered: state.under_finger, asks, 'asks-user': asks && Boolean(state.for_verification) };
    for (const [of, isSo] of Object.entries(classes)) root.classList.toggle(of, isSo);
    const words = asks ? why(state, this.where()) : '';
    write(this.why, words);
    show(this.why, asks);
    write(this.command, state.waiting_for ?? '');
    show(this.command, asks);
    write(this.kind, [state.profile, ...state.quirks].join(', '));
    write(this.place, state.uv ? `${place(state)}; finds its user: ${state.uv}` : place(state));
    show(this.finger, state.under_finger);
    const count = state.discoverable_credentials;
    write(this.held, `${count} discoverable`);
    show(this.held, count > 0);
    this.picture.ariaLabel = printable(asks ? `Touch ${name}, a ${state.profile}: it ${words}` : `Touch ${name}, a ${state.profile}: it is ${place(state)}`);
    const does = state.plugged ? 'Unplug' : 'Plug in';
    write(this.plug, does);
    this.plug.ariaLabel = `${does}: ${name}`;
    this.drawGestures(asks, Boolean(state.for_verification));
    this.inside.draw();
    filter(this);
    list(this, words);
  }

  drawGestures(asks, isVerification) {
    const kind = asks ? `asks ${isVerification}` : '';
    if (this.gestures.dataset.kind === kind) return;
    this.gestures.dataset.kind = kind;
    const { name } = this;
    const had = this.gestures.contains(document.activeElement);
    const buttons = asks ? [
      isVerification ? button('It is me', name, () => verify(name, false), 'small') : button('Touch', name, () => touch(name), 'small'),
      isVerification ? button('It is somebody else', name, () => verify(name, true)) : null,
      button('Deny', name, () => deny(name)),
    ].filter(Boolean) : [];
    this.gestures.replaceChildren(...buttons);
    show(this.gestures, asks);
    // Who works by keyboard goes on where they were.
    if (had) this.picture.focus({ preventScroll: true });
  }

  flash() {
    this.root.classList.remove('touched');
    soon(`flash ${this.name}`, () => this.root.classList.add('touched'));
  }
}

// The list of those that wait.
function list(card, words) {
  const { name } = card;
  let item = waiting.get(name);
  if (words && !item) {
    const does = element('button', { type: 'button' });
    on(does, 'click', () => press(card));
    item = element('li', {}, does);
    waiting.set(name, item);
    find('waiting-list').append(item);
  }
  if (words) {
    const does = item.firstElementChild;
    if (does.dataset.words !== words) {
      does.dataset.words = words;
      does.replaceChildren(element('strong', {}, name), ` ${printable(words)}`);
      does.ariaLabel = printable(`${name} ${words}: touch it`);
    }
  } else if (item) {
    item.remove();
    waiting.delete(name);
  }
  soon('waiting', () => {
    show(find('waiting'), waiting.size > 0);
    const items = [...find('waiting-list').children];
    items.forEach((one, at) => { show(one, at < MOST_LISTED); });
    show(find('waiting-more'), items.length > MOST_LISTED);
    write(find('waiting-more'), `and ${items.length - MOST_LISTED} more, among the keys below`);
    document.title = waiting.size > 0 ? `(${waiting.size} waiting) keyrig panel` : 'keyrig panel';
  });
}

function filter(card) {
  const wanted = find('find').value.trim().toLowerCase();
  show(card.root, !wanted || `${card.name} ${card.state?.profile ?? ''}`.toLowerCase().includes(wanted));
}

function count() {
  soon('count', () => {
    const all = [...cards.values()];
    const plugged = all.filter(({ state }) => state?.plugged).length;
    write(find('count'), all.length === 0 ? '' : `${all.length}, of which ${plugged === all.length ? 'all are' : `${plugged} ${plugged === 1 ? 'is' : 'are'}`} plugged in`);
    show(find('no-keys'), all.length === 0);
    show(find('search'), all.length > 12);
    find('keys').classList.toggle('many', all.length > 12);
  });
}

function remove(name) {
  const card = cards.get(name);
  if (!card) return;
  cards.delete(name);
  card.root.remove();
  list(card, '');
  find('of-key').querySelector(`option[value="${CSS.escape(name)}"]`)?.remove();
}

function card(name) {
  let known = cards.get(name);
  if (!known) {
    known = new Card(name);
    cards.set(name, known);
    find('keys').append(known.root);
    find('of-key').append(element('option', { value: name }, name));
  }
  return known;
}

// All keys, as they are.
export function takeRack({ keys, touch: policy }) {
  const names = new Set(keys.map(({ name }) => name));
  for (const name of [...cards.keys()]) if (!names.has(name)) remove(name);
  for (const state of keys) card(state.name).take(state);
  takePolicy(policy);
  count();
}

function takePolicy(policy) {
  const select = find('policy');
  // The finger may wait before it touches: that is set elsewhere, and shown here.
  if (![...select.options].some(({ value }) => value === policy)) {
    select.append(element('option', { value: policy }, `The finger, ${policy.replace('after=', 'after ')} ms`));
  }
  if (select.value !== policy) select.value = policy;
}

// What happened to a key, and how it is now.
export function takeKey({ event, key, state }) {
  if (!key) return;
  if (!state) {
    remove(key);
    count();
    return;
  }
  const known = card(key);
  known.take(state);
  if (event === 'touched' || event === 'verified') known.flash();
  if (['stored', 'reset', 'restored', 'created'].includes(event)) known.inside.changed();
  if (event === 'plugged' || event === 'unplugged' || event === 'created') count();
}

// For which site a key is asked, as its transcript says; null if it is asked nothing any more.
export function takeSite(key, site) {
  cards.get(key)?.ask(site);
}

// The site of the only page that waits for an answer, if there is one: a browser may have a key chosen before it says what for.
export function takeOnlySite(site) {
  if (onlySite === site) return;
  onlySite = site;
  for (const card of cards.values()) if (card.state?.waiting_for && !card.site) card.changed();
}

// What a key keeps, or what goes wrong with it, may be another.
export function changedInside(key) {
  cards.get(key)?.inside.changed();
}

export function begin() {
  on(find('policy'), 'change', async ({ target: { value: policy } }) => {
    await call('PUT', '/v1/touch-policy', { policy });
    say(`The touch policy is ${policy}.`, true);
  });
  find('find').addEventListener('input', () => {
    for (const one of cards.values()) filter(one);
  });
  const dialog = find('new-key');
  const { elements } = dialog.querySelector('form');
  on(find('add'), 'click', () => {
    elements.name.value = next();
    dialog.returnValue = 'cancel';
    dialog.showModal();
    elements.name.select();
  });
  on(dialog, 'close', async () => {
    const { name, profile, pin } = elements;
    const wanted = { name: name.value, profile: profile.value, ...(pin.value ? { pin: pin.value } : {}) };
    pin.value = '';
    if (dialog.returnValue !== 'ok') return;
    await call('POST', '/v1/keys', wanted);
    say(`${wanted.name} has come to the rack.`, true);
  });
  elements.profile.addEventListener('change', describe);
}

// A name that is not taken: a letter, or one with a number.
function next() {
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  return letters.find((letter) => !cards.has(letter)) ?? `key-${cards.size + 1}`;
}

function describe() {
  const { profile } = find('new-key').querySelector('form').elements;
  write(find('profile-text'), profiles.get(profile.value)?.description ?? '');
}

export function offerProfiles() {
  const { profile } = find('new-key').querySelector('form').elements;
  profile.replaceChildren(...[...profiles.keys()].map((name) => element('option', { value: name, selected: name === 'keyrig' }, name)));
  describe();
}

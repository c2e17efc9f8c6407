// Who is in, and which page is shown. The pages speak the same API as every other client.

import * as account from '/account.js';
import * as administration from '/administration.js';
import { call, element, fail, find, may, on, printable, Refused, requirementText, restore, say, state, whenOver } from '/core.js';
import { credential, trouble } from '/ceremony.js';
import * as groups from '/groups.js';
import * as records from '/records.js';
import * as tokens from '/tokens.js';

const SECTIONS = ['login', 'second-factor', 'account', 'users', 'groups', 'realms', 'events', 'audit'];

// What each page does when it is shown.
const shows = {
  account: account.show, users: administration.users, groups: groups.groups, realms: administration.realms, events: records.events, audit: records.audit,
};

// Firefox gives fields of a page that is loaded again what they had before.
for (const form of document.forms) form.reset();

wire();
// As it was before anybody was in. Who leaves, leaves this behind and nothing else.
const pristine = find('page').cloneNode(true);
let over = 0;
let opened = 0;

function fresh() {
  state.era += 1;
  state.session = null;
  state.login = null;
  clearTimeout(over);
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  account.forget();
  administration.forget();
  records.forget();
  tokens.forget();
  // In place: what scripts listen to stays.
  restore(find('page'), pristine);
  for (const form of document.forms) form.reset();
  showTrouble();
}

function only(id) {
  for (const section of SECTIONS) find(section).hidden = section !== id;
  for (const link of find('nav').querySelectorAll('a')) {
    if (link.hash === `#${id}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${find(`${id}-title`).textContent} – keyrig: a site to rehearse on`;
}

// Screen readers and keyboards go on at the title of what is new.
function begin(id) {
  only(id);
  find(`${id}-title`).focus({ preventScroll: true });
}

function leave() {
  fresh();
  history.replaceState(null, '', '/');
  begin('login');
}

async function enter(view) {
  fresh();
  state.session = view;
  const left = view.expires * 1000 - Date.now();
  // Where the clocks here and there differ by hours, the next request finds out.
  if (left > 0) over = setTimeout(() => { leave(); say('Your session is over: log in again.', false); }, left);
  find('who').textContent = printable(`${view.user}, ${view.role}`);
  find('log-out').hidden = false;
  // All of what has a space between, any of what has a bar.
  const meets = (needs) => needs.split(' ').every((any) => any.split('|').some((privilege) => may(privilege)));
  for (const part of document.querySelectorAll('[data-needs]')) part.hidden = !meets(part.dataset.needs);
  find('nav').hidden = !find('nav').querySelector('a[data-needs]:not([hidden])');
  await open();
}

// The page that the address names, if it is one for who is in. The last one that was opened says when all of it is there.
async function open() {
  const asked = location.hash.slice(1);
  const link = find('nav').hidden ? null : find('nav').querySelector(`a[href="#${CSS.escape(asked)}"]:not([hidden])`);
  const id = link ? asked : 'account';
  begin(id);
  opened += 1;
  const mine = opened;
  const main = document.querySelector('main');
  main.ariaBusy = 'true';
  try {
    await shows[id]();
  } finally {
    if (mine === opened) main.ariaBusy = null;
  }
}

async function entered(answer) {
  if (answer.state === 'second_factor') {
    offer(answer);
    return;
  }
  await enter(answer.session);
  if (answer.state === 'enrolment_required') {
    say(`You are not in yet: this realm requires a second factor (${requirementText(answer.requirement)}). Add one now.`, false);
  }
}

function offer(answer) {
  fresh();
  state.login = answer;
  const { webauthn, totp, totp_locked: locked, recovery, unusable_keys: unusable } = answer.factors;
  find('unusable-keys').hidden = !unusable;
  find('unusable-keys').textContent = unusable ? `Security keys: ${printable(unusable)}.` : '';
  find('offer-webauthn').hidden = !webauthn;
  find('offer-totp').hidden = !totp;
  find('totp-locked').hidden = !locked;
  find('offer-recovery').hidden = !recovery;
  find('recovery-left').textContent = recovery ? `${recovery} left` : '';
  begin('second-factor');
}

function showTrouble() {
  const problem = state.trouble ?? trouble(state.site);
  find('trouble').replaceChildren(...(problem ? [element('p', {}, problem)] : []));
  find('offer-passkey').hidden = state.site !== null && !state.site.passkey_login;
}

async function learnSite() {
  try {
    state.site = await call('GET', `/api/site?origin=${encodeURIComponent(location.origin)}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    state.trouble = error.message;
  }
  showTrouble();
}

function wire() {
  on('password-form', 'submit', async (form) => {
    const { user, password } = form.elements;
    const given = { user: user.value, password: password.value };
    password.value = '';
    await entered(await call('POST', '/api/login', given));
  });
  on('passkey', 'click', async () => {
    const { login: begun, challenge, options } = await call('POST', '/api/login/passkey/begin', {});
    const shown = await credential('get', options);
    await entered(await call('POST', '/api/login/passkey', { login: begun, challenge, credential: shown }));
  });
  on('use-webauthn', 'click', async () => {
    // A challenge is good for one answer: every further try takes a new one.
    const { login } = state;
    const ceremony = login.factors.webauthn ?? await call('POST', '/api/login/webauthn/begin', { login: login.login });
    login.factors.webauthn = null;
    const shown = await credential('get', ceremony.options);
    await entered(await call('POST', '/api/login/webauthn', { login: login.login, challenge: ceremony.challenge, credential: shown }));
  });
  on('offer-totp', 'submit', async (form) => {
    const code = form.elements.code.value;
    form.reset();
    await entered(await call('POST', '/api/login/totp', { login: state.login.login, code }));
  });
  on('offer-recovery', 'submit', async (form) => {
    const key = form.elements.key.value;
    form.reset();
    await entered(await call('POST', '/api/login/recovery', { login: state.login.login, key }));
  });
  on('start-over', 'click', async () => leave());
  on('log-out', 'click', async () => { await call('DELETE', '/api/session'); leave(); });
  on('log-out-everywhere', 'click', async () => { await call('DELETE', '/api/sessions'); leave(); });
  account.wire({ enter, leave });
  administration.wire();
  groups.wire();
  records.wire();
}

whenOver(leave);
addEventListener('hashchange', () => {
  if (!state.session) return;
  say('');
  account.forget();
  open().catch(fail);
});
// What a browser kept of a page that was left is not shown again.
addEventListener('pageshow', ({ persisted }) => { if (persisted) location.reload(); });

try {
  await learnSite();
  await enter(await call('GET', '/api/session'));
} catch (error) {
  const nobodyIsIn = error instanceof Refused && error.body.code === 'not_logged_in';
  // The page is as it was: what was typed or begun meanwhile goes on.
  if (!state.session) begin('login');
  if (!nobodyIsIn) fail(error);
}

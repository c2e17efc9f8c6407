// What concerns who is in: factors, password, sessions.

import { credential } from '/ceremony.js';
import { button, call, confirmed, element, factorText, find, on, pairs, printable, question, requirementText, say, stamp, state } from '/core.js';
import * as tokens from '/tokens.js';

let enrolment = null;
let who = null;

export async function show() {
  const isFull = state.session.kind === 'full';
  find('own').hidden = !isFull;
  const [view, factors, realms] = await Promise.all([
    call('GET', '/api/session'), call('GET', '/api/factors'), call('GET', '/api/realms'),
  ]);
  state.session = view;
  find('notices').replaceChildren(...view.notices.map(({ text }) => element('li', {}, text)));
  find('no-factors').hidden = factors.length > 0;
  find('factors').replaceChildren(...factors.map((factor) => card(factor, isFull)));
  const { requirement } = realms.find(({ name }) => view.user.endsWith(`@${name}`)) ?? { requirement: { type: 'none' } };
  offerWhatCounts(requirement, isFull);
  if (!isFull) return;
  find('add-token').replaceChildren(tokens.adding(view.user, find('tokens')));
  await Promise.all([showSessions(), tokens.show(view.user, find('tokens'), true)]);
}

// Who has to enrol before being let in is offered what lets them in, and nothing else.
function offerWhatCounts(requirement, isFull) {
  const keysCount = !(requirement.type === 'oath' && state.site?.oath_realm_excludes_webauthn) && state.site !== null;
  const counts = { webauthn: keysCount, passkey: keysCount, totp: ['oath', 'any'].includes(requirement.type), recovery: false };
  for (const choice of find('add').querySelectorAll('button')) choice.hidden = !(isFull || counts[choice.value]);
  find('required').hidden = requirement.type === 'none';
  find('required').textContent = requirement.type === 'none' ? '' : `Your realm requires ${requirementText(requirement)}.`;
}

function card(factor, isFull) {
  const name = factor.description;
  const path = `/api/factors/${encodeURIComponent(factor.id)}`;
  const buttons = element('div', { className: 'buttons' });
  // What is done says so, or `null` if nothing was.
  const add = (text, action) => buttons.append(button(text, name, async () => {
    const said = await action();
    if (said === null) return;
    await show();
    say(said, true);
  }));
  if (isFull) {
    add('Rename', async () => {
      const description = await question({ title: 'Rename the factor', label: 'Description', value: name, go: 'Rename' });
      if (description === null) return null;
      await confirmed('PATCH', path, { description });
      return `${name} is called ${description} now.`;
    });
    add(factor.enabled ? 'Disable' : 'Enable', async () => {
      await confirmed('PATCH', path, { enabled: !factor.enabled });
      return `${name} is ${factor.enabled ? 'disabled' : 'enabled'}.`;
    });
    if (factor.type === 'webauthn' && !factor.passkey && factor.enabled) {
      add('Make it a passkey', async () => {
        const text = 'It is registered again, to log in with it alone. Touch this key and no other: the entry is replaced.';
        if (await question({ title: `Make a passkey of ${name}?`, text }) === null) return null;
        await adds.passkey(name, factor.id);
        return `${name} is a passkey.`;
      });
    }
    add('Delete', async () => {
      const text = 'It ends the sessions that were begun with it.';
      if (await question({ title: `Delete ${name}?`, text, go: 'Delete' }) === null) return null;
      await confirmed('DELETE', path);
      return `${name} is deleted.`;
    });
  }
  const drift = factor.drift ? `${Math.abs(factor.drift)} step ${factor.drift < 0 ? 'behind' : 'ahead'}` : null;
  return element('li', { className: factor.enabled ? '' : 'off' },
    element('h3', {}, name, factor.enabled ? '' : ' (disabled)'),
    pairs([['Kind', factorText(factor)], ['Added', stamp(factor.created)], ['Last used', stamp(factor.last_used)], ['Clock', drift]]),
    buttons);
}

async function showSessions() {
  const sessions = await call('GET', '/api/sessions');
  find('sessions').replaceChildren(...sessions.map((session) => sessionCard(session, async () => {
    await call('DELETE', `/api/sessions/${encodeURIComponent(session.id)}`);
    await showSessions();
    say('The session is over.', true);
  })));
}

export function sessionCard(session, end) {
  const made = element('li', {},
    element('h3', {}, session.current ? 'This session' : `Session of ${stamp(session.began)}`),
    pairs([['Began', stamp(session.began)], ['Over', stamp(session.expires)], ['From', session.address ?? 'unknown'],
      ['With', session.factor ?? 'no factor, or one that is gone'], ['For', session.kind === 'enrolment' ? 'enrolment only' : null]]));
  if (!session.current) made.append(element('div', { className: 'buttons' }, button('End it', `session of ${stamp(session.began)}`, end)));
  return made;
}

// What was shown once is shown no more.
export function forget() {
  enrolment = null;
  find('totp-enrolment').hidden = true;
  find('totp-enrolment').reset();
  find('qr').removeAttribute('src');
  for (const id of ['totp-secret', 'totp-uri', 'recovery-of']) find(id).textContent = '';
  find('recovery-keys').hidden = true;
  find('recovery-keys').querySelector('ol').replaceChildren();
}

async function added(answer) {
  forget();
  const isIn = Boolean(answer.session);
  if (isIn) await who.enter(answer.session);
  else await show();
  say(`Added ${answer.factor.description}.${isIn ? ' You are in.' : ''}`, true);
}

const adds = {
  async webauthn(description, wish = {}) {
    const { challenge, options } = await confirmed('POST', '/api/factors/webauthn/begin', wish);
    const made = await credential('create', options);
    await added(await call('POST', '/api/factors/webauthn', { challenge, description, credential: made }));
  },
  passkey(description, replaces) {
    return adds.webauthn(description, { passkey: true, replaces });
  },
  async totp(description) {
    const begun = await confirmed('POST', '/api/factors/totp/begin', {});
    enrolment = { challenge: begun.challenge, description };
    find('qr').src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(begun.qr_svg)}`;
    find('totp-secret').textContent = begun.secret;
    find('totp-uri').textContent = begun.uri;
    const form = find('totp-enrolment');
    form.hidden = false;
    form.scrollIntoView({ block: 'nearest' });
    form.elements.code.focus();
  },
  async recovery(description) {
    const answer = await confirmed('POST', '/api/factors/recovery', { description });
    await added(answer);
    find('recovery-of').textContent = printable(`Recovery keys of ${state.session.user} at ${location.host}, ${stamp(answer.factor.created)}. Each works once.`);
    const keys = answer.recovery_keys.map((text) => element('li', {}, element('code', {}, text)));
    find('recovery-keys').querySelector('ol').replaceChildren(...keys);
    find('recovery-keys').hidden = false;
    find('recovery-keys').querySelector('h3').focus();
  },
};

export function wire(whoIsIn) {
  who = whoIsIn;
  on('add', 'submit', (form, kind) => {
    forget();
    const chosen = kind ?? form.querySelector('button:not([hidden])').value;
    return adds[chosen](form.elements.description.value);
  });
  on('totp-enrolment', 'submit', async (form, choice) => {
    if (choice === 'cancel') {
      forget();
      return;
    }
    const code = form.elements.code.value;
    form.reset();
    await added(await call('POST', '/api/factors/totp', { ...enrolment, code }));
  });
  on('print-keys', 'click', async () => window.print());
  on('forget-keys', 'click', async () => { forget(); find('account-title').focus(); });
  on('password-change', 'submit', async (form) => {
    const { password, new_password: fresh, again } = form.elements;
    const given = { password: password.value, new_password: fresh.value };
    const isSame = fresh.value === again.value;
    form.reset();
    if (!isSame) throw new Error('The two new passwords differ: nothing was changed.');
    await call('PUT', '/api/password', given);
    who.leave();
    say('The password is changed, and all of your sessions are over. Log in with the new one.', true);
  });
}

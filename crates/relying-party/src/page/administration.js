// Users and realms, for whose privileges allow to see or to change them.

import { sessionCard } from '/account.js';
import { button, call, confirmed, element, factorText, find, may, on, pairs, part, question, Refused, requirementText, say, stamp, state } from '/core.js';
import * as tokens from '/tokens.js';

let more = null;

const pathOf = (user, ...rest) => ['/api/users', encodeURIComponent(user), ...rest].join('/');
const mayReplace = () => may('Realm.AllocateUser', 'User.Modify');
const isRoot = () => state.session.user === 'root@pam';
// The factors of root@pam are root@pam's alone.
const mayChangeFactorsOf = (name) => may('User.Modify') && (name !== 'root@pam' || isRoot());
// So are the passwords of the machine.
const maySetPasswordOf = (name) => mayReplace() && (!name.endsWith('@pam') || isRoot());

export async function users() {
  find('user-list').replaceChildren();
  await showUsers('/api/users');
}

async function showUsers(path) {
  const { items, next } = await part(path);
  find('user-list').append(...items.map(userItem));
  more = next;
  find('more-users').hidden = next === null;
}

// One user again, as they are now.
async function again(item, name) {
  let path = '/api/users';
  while (path) {
    const { items, next } = await part(path);
    const found = items.find((user) => user.name === name);
    if (found) {
      const made = userItem(found);
      made.querySelector('details').open = true;
      item.replaceWith(made);
      made.querySelector('summary').focus();
      return;
    }
    path = next;
  }
  item.remove();
}

export function badges(user) {
  const marks = [];
  if (user.standing === 'vanished') marks.push('not in the directory');
  else if (user.standing === 'disabled') marks.push('disabled in the directory');
  else if (!user.enabled) marks.push('disabled');
  if (user.locked_until !== null && user.locked_until * 1000 > Date.now()) marks.push('locked');
  if (user.totp_locked) marks.push('codes locked');
  return marks.map((mark) => element('span', { className: 'badge' }, mark));
}

function userItem(user) {
  const summary = element('summary', {}, element('strong', {}, user.name), ` ${user.role} `, ...badges(user));
  const details = element('details', {}, summary);
  const item = element('li', {}, details);
  details.addEventListener('toggle', () => {
    if (details.open && !details.querySelector('dl')) details.append(...userBody(item, user));
  });
  return item;
}

function userBody(item, user) {
  const isLocked = user.locked_until !== null && user.locked_until * 1000 > Date.now();
  const facts = pairs([
    ['Role', user.role], ['Privileges', user.privileges.join(', ') || null], ['May log in', user.enabled ? 'yes' : 'no'], ['Comment', user.comment || null], ['Added', stamp(user.created)],
    ['Last login', stamp(user.last_login)], ['Failures in a row', user.failures || null],
    ['Locked until', isLocked ? stamp(user.locked_until) : null], ['Wrong codes', user.totp_failures || null],
    ['Codes', user.totp_locked ? 'locked: a recovery key or Unlock lifts it' : null],
  ]);
  const factors = element('ul', { className: 'cards' }, ...user.factors.map((factor) => factorCard(item, user, factor)));
  const [sessions, tokenList] = [element('ul', { className: 'cards' }), element('ul', { className: 'cards' })];
  return [
    facts,
    actions(item, user),
    element('h3', {}, user.factors.length ? 'Factors' : 'No second factor'), factors,
    element('h3', {}, 'API tokens'), tokenButtons(user, tokenList), tokenList,
    element('h3', {}, 'Sessions'), sessionButtons(user, sessions), sessions,
  ];
}

// A button for a change of a user, after which the user is shown again.
function change(item, user, text, action, about = user.name) {
  return button(text, about, async () => {
    const said = await action();
    if (said === null) return;
    await again(item, user.name);
    say(said, true);
  });
}

// What the realm requires is taken away only from who insists.
async function forced(method, path, title, body) {
  try {
    return await confirmed(method, path, body);
  } catch (error) {
    if (!(error instanceof Refused) || error.body.code !== 'factor_is_required') throw error;
    if (await question({ title, text: `${error.message}.`, go: 'Force it' }) === null) return null;
    return confirmed(method, `${path}?force=true`, body);
  }
}

function actions(item, user) {
  const { name } = user;
  const role = element('select', { ariaLabel: `New role of ${name}` },
    ...['user', 'auditor', 'administrator'].map((value) => element('option', { value, selected: value === user.role }, value)));
  const made = element('div', { className: 'buttons' });
  const add = (isAllowed, text, action) => { if (isAllowed) made.append(change(item, user, text, action)); };
  if (may('Permissions.Modify')) made.append(role);
  add(may('Permissions.Modify'), 'Change role', async () => {
    const { role: is } = await confirmed('PATCH', pathOf(name), { role: role.value });
    return `${name} has the role ${role.value}${is === role.value ? '' : `, and is ${is} by a group or another role`}.`;
  });
  add(may('User.Modify'), user.enabled ? 'Disable' : 'Enable', async () => {
    await confirmed('PATCH', pathOf(name), { enabled: !user.enabled });
    return `${name} is ${user.enabled ? 'disabled, and their sessions are over' : 'enabled'}.`;
  });
  add(may('User.Modify'), 'Unlock', async () => {
    const { was_locked: was } = await call('POST', pathOf(name, 'unlock'));
    return was ? `${name} is unlocked.` : `${name} was not locked; failures count from zero again.`;
  });
  add(may('User.Modify'), 'Groups', async () => {
    const list = await call('GET', '/api/groups');
    const had = list.filter(({ members }) => members.includes(name)).map((group) => group.name).join(', ');
    const text = list.length ? `There are ${list.map((group) => group.name).join(', ')}.` : 'There is none yet: add one on the page Groups.';
    const given = await question({ title: `The groups of ${name}`, text, label: 'Groups, with commas between', value: had, go: 'Save', mayBeEmpty: true });
    if (given === null) return null;
    const groups = given.split(',').map((one) => one.trim()).filter(Boolean);
    await confirmed('PATCH', pathOf(name), { groups });
    return `${name} is in ${groups.length ? groups.join(', ') : 'no group'}.`;
  });
  add(may('User.Modify'), 'Comment', async () => {
    const comment = await question({ title: `Comment on ${name}`, label: 'Comment', value: user.comment, go: 'Save', mayBeEmpty: true });
    if (comment === null) return null;
    await confirmed('PATCH', pathOf(name), { comment });
    return `The comment on ${name} is changed.`;
  });
  add(maySetPasswordOf(name), 'Set password', async () => {
    const title = `A new password for ${name}`;
    const text = 'It ends all sessions of this user. Hand it over; the user changes it after logging in.';
    const password = await question({ title, text, label: 'New password', value: madeUp(), go: 'Set it' });
    if (password === null) return null;
    await confirmed('PUT', pathOf(name, 'password'), { password });
    return `${name} has a new password, and no session.`;
  });
  add(mayChangeFactorsOf(name), 'Delete all factors', async () => {
    const text = `Make sure that it is really ${name} who asks: after this, a password is enough.`;
    if (await question({ title: `Delete all factors of ${name}?`, text, go: 'Delete' }) === null) return null;
    const gone = await forced('DELETE', pathOf(name, 'factors'), `Leave ${name} without what the realm requires?`);
    return gone && `${gone.length} ${gone.length === 1 ? 'factor' : 'factors'} of ${name} deleted.`;
  });
  add(mayReplace(), 'Delete the user', async () => {
    const text = 'Factors and sessions go too; the events stay.';
    if (await question({ title: `Delete ${name}?`, text, go: 'Delete' }) === null) return null;
    await confirmed('DELETE', pathOf(name));
    return `${name} is deleted.`;
  });
  return made;
}

// 20 characters of an alphabet of 32: 100 bits, and none that looks like another.
function madeUp() {
  const alphabet = 'abcdefghijkmnpqrstuvwxyz23456789';
  return [...crypto.getRandomValues(new Uint8Array(20))].map((byte) => alphabet[byte % alphabet.length]).join('');
}

function factorCard(item, user, factor) {
  const { name } = user;
  const made = element('li', { className: factor.enabled ? '' : 'off' },
    element('h4', {}, factor.description, factor.enabled ? '' : ' (disabled)'),
    pairs([['Kind', factorText(factor)], ['Added', stamp(factor.created)], ['Last used', stamp(factor.last_used)]]));
  if (!mayChangeFactorsOf(name)) return made;
  const path = pathOf(name, 'factors', encodeURIComponent(factor.id));
  const about = `${factor.description} of ${name}`;
  made.append(element('div', { className: 'buttons' },
    change(item, user, 'Rename', async () => {
      const title = `Rename a factor of ${name}`;
      const description = await question({ title, label: 'Description', value: factor.description, go: 'Rename' });
      if (description === null) return null;
      await confirmed('PATCH', path, { description });
      return `${about} is called ${description} now.`;
    }, about),
    change(item, user, factor.enabled ? 'Disable' : 'Enable', async () => {
      const done = await forced('PATCH', path, `Disable ${about}?`, { enabled: !factor.enabled });
      return done && `${about} is ${factor.enabled ? 'disabled' : 'enabled'}.`;
    }, about),
    change(item, user, 'Delete', async () => {
      if (await question({ title: `Delete ${about}?`, text: 'It ends the sessions that were begun with it.', go: 'Delete' }) === null) return null;
      return await forced('DELETE', path, `Leave ${name} without what the realm requires?`) && `${about} is deleted.`;
    }, about)));
  return made;
}

// They are shown when somebody asks, as sessions are.
function tokenButtons({ name }, list) {
  const made = element('div', { className: 'buttons' });
  made.append(button('Show tokens', name, async () => {
    await tokens.show(name, list, may('User.Modify'));
    if (may('User.Modify') && list.nextElementSibling?.tagName !== 'FORM') list.after(tokens.adding(name, list));
  }));
  return made;
}

function sessionButtons(user, list) {
  const { name } = user;
  const show = async () => {
    const sessions = await call('GET', pathOf(name, 'sessions'));
    list.replaceChildren(...sessions.map((session) => {
      const end = async () => { await call('DELETE', pathOf(name, 'sessions', encodeURIComponent(session.id))); await show(); };
      return sessionCard({ ...session, current: session.current || !may('User.Modify') }, end);
    }));
    if (!sessions.length) list.replaceChildren(element('li', {}, 'None.'));
  };
  const made = element('div', { className: 'buttons' });
  // Auditors see their own sessions alone.
  if (may('User.Modify')) {
    made.append(button('Show sessions', name, show), button('End all sessions', name, async () => {
      const { sessions } = await call('DELETE', pathOf(name, 'sessions'));
      await show();
      say(`${sessions} ${sessions === 1 ? 'session' : 'sessions'} of ${name} ended.`, true);
    }));
  }
  return made;
}

export async function realms() {
  const [list, audited] = await Promise.all([call('GET', '/api/realms'), may('Sys.Audit') ? everybody() : []]);
  find('policy').textContent = state.site
    ? `Under the policy ${state.site.policy} a realm can require: ${['none', ...state.site.realm_types].join(', ')}. Who has a factor is asked for one in every case.`
    : '';
  find('realm-list').replaceChildren(...list.map((realm) => realmCard(realm, audited)));
}

// Everybody with what there is to say about them.
export async function everybody() {
  const all = [];
  for (let path = '/api/audit'; path;) {
    const { items, next } = await part(path);
    all.push(...items);
    path = next;
  }
  return all;
}

function realmCard(realm, audited) {
  const lacks = ({ code }) => code === 'no_factor' || code === 'lacks_required_factor';
  const lacking = realm.requirement.type === 'none' ? []
    : audited.filter(({ name, enabled, findings }) => enabled && name.endsWith(`@${realm.name}`) && findings.some(lacks)).map(({ name }) => name);
  const made = element('li', {}, element('h3', {}, realm.name),
    pairs([['For', realm.comment], ['Requires', requirementText(realm.requirement)], ['These lack it', lacking.length ? lacking.join(', ') : null]]));
  if (!may('Realm.Allocate')) return made;
  const { type: now, digits = 6, step = 30 } = realm.requirement;
  const types = [...new Set(['none', now, ...(state.site?.realm_types ?? [])])];
  const type = element('select', { name: 'type' }, ...types.map((value) => element('option', { value, selected: value === now }, value)));
  const number = (name, value, min, max) => element('input', { name, type: 'number', value, min, max, required: true });
  const ofOath = element('div', { className: 'row' },
    element('label', {}, 'Digits ', number('digits', digits, 6, 8)), element('label', {}, 'Seconds ', number('step', step, 10, 3600)));
  const follow = () => { ofOath.hidden = type.value !== 'oath'; };
  type.addEventListener('change', follow);
  follow();
  const form = element('form', { ariaLabel: `What ${realm.name} requires` },
    element('label', {}, 'Second factor ', type), ofOath, element('button', {}, 'Change'));
  on(form, 'submit', async () => {
    const oath = { digits: Number(form.elements.digits.value), step: Number(form.elements.step.value) };
    const requirement = { type: type.value, ...(type.value === 'oath' ? oath : {}) };
    await confirmed('PUT', `/api/realms/${encodeURIComponent(realm.name)}`, { requirement });
    await realms();
    say(`The realm ${realm.name} requires: ${requirementText(requirement)}.`, true);
  });
  made.append(form);
  return made;
}

export function forget() {
  more = null;
}

export function wire() {
  on('more-users', 'click', () => showUsers(more));
  on('add-user', 'submit', async (form) => {
    const { user, role, password } = form.elements;
    const given = { user: user.value, role: role.value, password: password.value };
    await confirmed('POST', '/api/users', given);
    form.reset();
    await users();
    say(`Added ${given.user}, ${given.role}.`, true);
  });
}

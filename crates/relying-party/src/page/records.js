// What was done and what is the case: events, the reports of refusals, and the audit.

import { badges, everybody } from '/administration.js';
import { button, call, element, factorText, find, may, on, pairs, part, reported, stamp } from '/core.js';

const KINDS = [
  'logged_in', 'login_refused', 'login_blocked', 'logged_out', 'session_ended', 'sessions_ended', 'factor_added', 'enrolment_refused',
  'factor_changed', 'factor_deleted', 'recovery_key_used', 'totp_locked', 'account_locked', 'unlocked', 'clone_suspected',
  'confirmation_failed', 'user_added', 'user_changed', 'user_deleted', 'password_changed', 'token_added', 'token_changed', 'token_deleted',
  'realm_added', 'realm_changed', 'access_changed', 'realm_synced', 'realm_deleted',
];

const SHOWN_AT_ONCE = 100;

let earlier = null;

const words = (kind) => kind.replaceAll('_', ' ');

export async function events() {
  const { user, kind, since, until } = find('event-filter').elements;
  const query = new URLSearchParams({ limit: SHOWN_AT_ONCE });
  if (user.value) query.set('user', user.value);
  if (kind.value) query.set('kind', kind.value);
  for (const [name, { value }] of [['since', since], ['until', until]]) {
    if (value) query.set(name, Math.floor(new Date(value).getTime() / 1000));
  }
  find('event-list').replaceChildren();
  await showEvents(`/api/events?${query}`);
  find('no-events').hidden = find('event-list').childElementCount > 0;
}

async function showEvents(path) {
  const { items, next } = await part(path);
  find('event-list').append(...items.map(eventLine));
  earlier = next;
  find('more-events').hidden = next === null;
}

function eventLine(event) {
  const { id, time, kind, user, actor, address, detail, report_id: report } = event;
  const by = actor === user ? null : `by ${actor}`;
  const made = element('li', { className: kind },
    element('time', { dateTime: new Date(time * 1000).toISOString() }, stamp(time)),
    element('strong', {}, words(kind)),
    element('span', {}, user ?? ''),
    element('span', {}, [by, address && `from ${address}`, detail].filter(Boolean).join(' · ')));
  if (report && may('Sys.Syslog')) made.append(button('Report', `event ${id}, ${words(kind)}`, () => showReport(report)));
  else if (report) made.append(element('span', {}, `report ${report}`));
  return made;
}

async function showReport(id) {
  const { event, report } = await call('GET', `/api/reports/${encodeURIComponent(id)}`);
  find('report-body').replaceChildren(
    pairs([['Report', id], ['When', stamp(event.time)], ['What', words(event.kind)], ['Who', event.user], ['From', event.address], ['Detail', event.detail]]),
    reported(report),
  );
  const dialog = find('report');
  dialog.addEventListener('close', () => find('report-body').replaceChildren(), { once: true });
  dialog.showModal();
  find('report-title').focus();
}

export async function audit() {
  const { show, days } = find('audit-filter').elements;
  const unusedSince = Date.now() / 1000 - days.value * 86400;
  const isOld = (factor) => factor.enabled && factor.type !== 'recovery' && (factor.last_used ?? factor.created) < unusedSince;
  const has = (user, ...codes) => user.findings.some(({ code }) => codes.includes(code));
  const choices = {
    all: () => true,
    found: (user) => user.findings.length > 0 || user.factors.some(isOld),
    none: (user) => has(user, 'no_factor'),
    one: (user) => has(user, 'only_one_factor', 'only_one_security_key'),
    old: (user) => user.factors.some(isOld),
    elsewhere: (user) => has(user, 'keys_unusable'),
    locked: (user) => has(user, 'locked', 'totp_locked'),
  };
  const all = await everybody();
  const shown = all.filter(choices[show.value]);
  find('audit-count').textContent = `${shown.length} of ${all.length} users.`;
  find('audit-list').replaceChildren(...shown.map((user) => auditCard(user, isOld)));
}

function auditCard(user, isOld) {
  const findings = [...user.findings.map(({ text }) => text),
    ...user.factors.filter(isOld).map(({ description, last_used: used }) => `has ${description}, ${used === null ? 'which was never used' : `last used ${stamp(used)}`}`)];
  const factors = user.factors.map((factor) => `${factor.description}: ${factorText(factor)}${factor.enabled ? '' : ' (disabled)'}`);
  const tokens = user.tokens.map(({ name, comment }) => (comment ? `${name} (${comment})` : name));
  return element('li', {},
    element('h3', {}, user.name, ' ', ...badges(user)),
    element('ul', { className: 'notices' }, ...findings.map((text) => element('li', {}, text))),
    pairs([['Role', user.role], ['Privileges', user.privileges.join(', ') || null], ['Last login', stamp(user.last_login)], ['Factors', factors.length ? factors.join('; ') : 'none'],
      ['API tokens', tokens.length ? tokens.join('; ') : null]]));
}

export function forget() {
  earlier = null;
}

export function wire() {
  find('event-filter').elements.kind.append(...KINDS.map((kind) => element('option', { value: kind }, words(kind))));
  on('event-filter', 'submit', events);
  on('more-events', 'click', () => showEvents(earlier));
  on('audit-filter', 'submit', audit);
}

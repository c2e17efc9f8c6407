// Groups: who is in them, and what their members may, for whose privileges allow to see or to change them.

import { button, call, confirmed, element, find, may, on, pairs, printable, question, say } from '/core.js';

const pathOf = (name) => `/api/groups/${encodeURIComponent(name)}`;

export async function groups() {
  const [list, roles] = await Promise.all([call('GET', '/api/groups'), call('GET', '/api/roles')]);
  find('no-groups').hidden = list.length > 0;
  find('group-list').replaceChildren(...list.map((group) => card(group, roles)));
}

// What a role gives here, which its name need not say.
const worth = ({ grants }) => grants.join(', ') || 'nothing here';

function card(group, roles) {
  const { name, comment, realm, members } = group;
  const made = element('li', {}, element('h3', {}, name), pairs([
    ['For', comment || null], ['From', realm && `the directory of ${realm}`], ['Members', members.length ? members.join(', ') : 'nobody'],
    ['They may, beside what each may as such', group.roles.length ? group.roles.join(', ') : 'nothing'],
  ]));
  made.append(actions(group));
  if (may('Permissions.Modify')) made.append(roleForm(group, roles));
  return made;
}

// A button for a change of a group, after which all are shown again.
function change(group, text, action) {
  return button(text, `group ${group.name}`, async () => {
    const said = await action();
    if (said === null) return;
    await groups();
    say(said, true);
  });
}

function actions(group) {
  const { name, comment } = group;
  const buttons = [
    may('User.Modify') && change(group, 'Put somebody in', async () => {
      const user = await question({ title: `Who is to be in ${name}?`, label: 'User', go: 'Put in' });
      if (user === null) return null;
      await confirmed('PATCH', `/api/users/${encodeURIComponent(user)}`, { groups: [name], append: true });
      return `${user} is in ${name}.`;
    }),
    may('Group.Allocate') && change(group, 'Comment', async () => {
      const text = await question({ title: `Comment on ${name}`, label: 'Comment', value: comment, go: 'Save', mayBeEmpty: true });
      if (text === null) return null;
      await confirmed('PATCH', pathOf(name), { comment: text });
      return `The comment on ${name} is changed.`;
    }),
    may('Group.Allocate') && change(group, 'Delete', async () => {
      const text = 'Its members stay, and may what each may as such.';
      if (await question({ title: `Delete the group ${name}?`, text, go: 'Delete' }) === null) return null;
      await confirmed('DELETE', pathOf(name));
      return `The group ${name} is deleted.`;
    }),
  ];
  return element('div', { className: 'buttons' }, ...buttons.filter(Boolean));
}

function roleForm({ name, roles: had }, roles) {
  const box = (role) => element('label', { className: 'check' },
    element('input', { type: 'checkbox', name: 'role', value: role.name, checked: had.includes(role.name) }), ` ${role.name}: ${worth(role)}`);
  const form = element('form', {}, element('fieldset', {}, element('legend', {}, `Roles of ${name}, at /`), ...roles.map(box)),
    element('button', { className: 'small', ariaLabel: printable(`Change the roles of ${name}`) }, 'Change the roles'));
  on(form, 'submit', async () => {
    const wanted = [...form.querySelectorAll('input:checked')].map(({ value }) => value);
    await confirmed('PATCH', pathOf(name), { roles: wanted });
    await groups();
    say(`The group ${name} has ${wanted.length ? `the roles ${wanted.join(', ')}` : 'no role'}.`, true);
  });
  return form;
}

export function wire() {
  on('add-group', 'submit', async (form) => {
    const { name, comment } = form.elements;
    const given = { name: name.value, comment: comment.value };
    await confirmed('POST', '/api/groups', given);
    form.reset();
    await groups();
    say(`Added the group ${given.name}.`, true);
  });
}

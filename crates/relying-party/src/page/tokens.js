// A user's tokens for programs: their own, or by an administrator anybody's. What a token is good by is shown once.

import { button, call, confirmed, element, find, on, pairs, question, say, stamp, state } from '/core.js';

const pathOf = (user, ...rest) => ['/api/users', encodeURIComponent(user), 'tokens', ...rest.map(encodeURIComponent)].join('/');

// Shows the tokens of a user in a list, and what adds one in a form, if this user may change them.
export async function show(user, list, mayChange) {
  const tokens = await call('GET', pathOf(user));
  // Below the title of who has them, where that is one of many.
  const title = list.closest('li') ? 'h4' : 'h3';
  const card = ({ name, comment, privilege_separated: isSeparated, privileges, expires }) => {
    const made = element('li', {}, element(title, {}, `${user}!${name}`), pairs([
      ['For', comment || null], ['May', isSeparated ? ['what any user may', ...privileges].join(', ') : 'all that its user may, but change factors and tokens'],
      ['Good until', expires === null ? 'it is deleted' : stamp(expires)],
    ]));
    if (mayChange) made.append(element('div', { className: 'buttons' }, button('Delete', `token ${user}!${name}`, async () => {
      const text = 'Programs that have it are refused from then on.';
      if (await question({ title: `Delete the token ${user}!${name}?`, text, go: 'Delete' }) === null) return;
      await confirmed('DELETE', pathOf(user, name));
      await show(user, list, mayChange);
      say(`The token ${user}!${name} is deleted.`, true);
    })));
    return made;
  };
  list.replaceChildren(...tokens.map(card));
  if (!tokens.length) list.replaceChildren(element('li', {}, 'None.'));
}

// What adds a token. It is a copy of the one form that the document has, as those who administer see one for each user.
export function adding(user, list) {
  const form = find('new-token').content.firstElementChild.cloneNode(true);
  form.ariaLabel = `Add a token of ${user}`;
  on(form, 'submit', async () => {
    const { name, comment, until, privilege_separated: isSeparated } = form.elements;
    const expire = until.value ? Math.floor(new Date(until.value).getTime() / 1000) : 0;
    const given = { name: name.value, comment: comment.value, privilege_separated: isSeparated.checked, expire };
    const { id, secret } = await confirmed('POST', pathOf(user), given);
    form.reset();
    await show(user, list, true);
    reveal(id, secret, form);
  });
  return form;
}

// The one time that it is told.
function reveal(id, secret, form) {
  const dialog = find('token');
  const { era } = state;
  find('token-id').textContent = id;
  find('token-secret').textContent = secret;
  find('token-header').textContent = `Authorization: PVEAPIToken=${id}=${secret}`;
  dialog.addEventListener('close', () => {
    forget();
    if (era !== state.era) return;
    if (form.isConnected) form.elements.name.focus();
    say(`The token ${id} is added.`, true);
  }, { once: true });
  dialog.showModal();
}

export function forget() {
  for (const part of ['id', 'secret', 'header']) find(`token-${part}`).textContent = '';
}

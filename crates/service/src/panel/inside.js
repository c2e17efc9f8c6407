// What is behind a key's card: what it keeps, what goes wrong with it on purpose, and what its owner can do. It is asked for when it is
// opened, and again when the key has changed.

import { button, call, element, newPin, ofKey, on, say, show, soon, sure, write } from './core.js';

let faults = [];
let commands = [];

export function useFaults(known, confined) {
  faults = known;
  commands = confined;
}

export class Inside {
  constructor(card) {
    this.card = card;
    this.root = element('details', {}, element('summary', {}, 'What it holds, and faults'));
    this.isFilled = false;
    this.root.addEventListener('toggle', () => {
      this.card.root.classList.toggle('open', this.root.open);
      if (this.root.open) this.fill();
    });
  }

  fill() {
    if (!this.isFilled) {
      this.isFilled = true;
      const { name } = this.card;
      this.pin = element('p', {}, 'PIN: …');
      this.setPin = button('Set a PIN', name, () => this.changePin());
      show(this.setPin, false);
      this.credentials = element('ul', { className: 'rows credentials' });
      this.noCredentials = element('p', { className: 'soft', hidden: true }, 'It stores no credential. Those that live in their own id are not listed.');
      this.faults = element('ul', { className: 'rows faults' });
      this.noFaults = element('p', { className: 'soft', hidden: true }, 'None is on.');
      this.finger = button('Put the finger here', name, () => call('PUT', '/v1/finger', { key: name }));
      this.cycle = button('Power-cycle', name, () => call('POST', ofKey(name, '/power-cycle'), {}));
      const reset = button('Reset', name, () => this.reset());
      const remove = button('Remove', name, () => this.remove(), 'plain small bad');
      this.root.append(
        element('div', { className: 'buttons' }, this.cycle, this.finger, reset, remove),
        element('h4', {}, 'Credentials'), this.credentials, this.noCredentials,
        element('div', { className: 'row' }, this.pin, this.setPin),
        element('h4', {}, 'Faults'), this.faults, this.noFaults, this.form(),
      );
      this.draw();
    }
    this.changed();
  }

  draw() {
    if (!this.isFilled) return;
    this.cycle.disabled = !this.card.state.plugged;
    this.finger.disabled = this.card.state.under_finger;
  }

  async reset() {
    const { name } = this.card;
    if (!await sure(`Reset ${name}?`, 'It forgets its credentials and its PIN, as by authenticatorReset.')) return;
    await call('POST', ofKey(name, '/reset'), {});
    say(`${name} was reset.`, true);
  }

  async remove() {
    const { name } = this.card;
    if (!await sure(`Remove ${name}?`, 'It leaves the rack with all that it keeps. What a state directory keeps of it stays there.')) return;
    await call('DELETE', ofKey(name));
    say(`${name} has left the rack.`, true);
  }

  // Switches a fault on.
  form() {
    const { name } = this.card;
    const layers = [...new Set(faults.map(({ layer }) => layer))];
    const group = (layer) => element('optgroup', { label: layer }, ...faults.filter((fault) => fault.layer === layer)
      .map((fault) => element('option', { value: fault.name }, fault.name)));
    const kind = element('select', { name: 'kind' }, ...layers.map(group));
    const parameter = element('input', { name: 'parameter', required: true, autocomplete: 'off', spellcheck: false });
    const meaning = element('span');
    const label = element('label', {}, meaning, parameter);
    const times = element('select', { name: 'times' }, element('option', { value: '' }, 'each time'), element('option', { value: ',times=1' }, 'once'));
    const command = element('select', { name: 'command' }, element('option', { value: '' }, 'any command'), ...commands
      .map((one) => element('option', { value: `,command=${one}` }, one)));
    const summary = element('p', { className: 'soft' });
    const chosen = () => faults.find((fault) => fault.name === kind.value);
    const describe = () => {
      const { summary: text, parameter: own } = chosen();
      write(summary, text);
      show(label, Boolean(own));
      parameter.disabled = !own;
      if (own) {
        write(meaning, `${own.name}: ${own.meaning}`);
        const isNumber = own.unit === 'number';
        Object.assign(parameter, isNumber ? { type: 'number', min: own.least, max: own.most } : { type: 'text' });
        parameter.value = isNumber ? own.default : `0x${own.default.toString(16).toUpperCase().padStart(2, '0')}`;
      }
    };
    kind.addEventListener('change', describe);
    const form = element('form', { className: 'fault' },
      element('label', {}, 'Fault', kind), label, element('label', {}, 'In', command), element('label', {}, 'When', times), summary,
      element('button', { className: 'small', ariaLabel: `Switch on: a fault at ${name}` }, 'Switch on'));
    on(form, 'submit', async () => {
      const own = chosen().parameter;
      const fault = `${kind.value}${own ? `,${own.name}=${parameter.value}` : ''}${command.value}${times.value}`;
      this.takeFaults(await call('POST', ofKey(name, '/faults'), { fault }));
    });
    if (faults.length > 0) describe();
    return form;
  }

  changed() {
    if (this.root.open && this.isFilled) soon(`inside ${this.card.name}`, () => this.refresh());
  }

  // One at a time, and once more if something has changed meanwhile.
  async refresh() {
    if (this.isAsking) {
      this.isStale = true;
      return;
    }
    this.isAsking = true;
    const { name } = this.card;
    try {
      const take = async (path, action) => {
        try {
          action(await call('GET', ofKey(name, path)));
        } catch (error) {
          // A key that is busy tells later, and one that is gone nothing.
          if (path === '/pin') {
            write(this.pin, `PIN: ${error.message}`);
            show(this.setPin, false);
          } else if (error.code !== 'unknown-key') say(error.message);
        }
      };
      await take('/credentials', (answer) => this.takeCredentials(answer));
      await take('/faults', (answer) => this.takeFaults(answer));
      await take('/pin', (answer) => this.takePin(answer));
    } finally {
      this.isAsking = false;
    }
    if (this.isStale) {
      this.isStale = false;
      this.changed();
    }
  }

  async changePin() {
    const { name } = this.card;
    const isChange = this.hasPin;
    const given = await newPin(`${isChange ? 'Change' : 'Set'} the PIN of ${name}`, isChange);
    if (!given) return;
    try {
      this.takePin(await (isChange ? call('PUT', ofKey(name, '/pin'), given) : call('POST', ofKey(name, '/pin'), { pin: given.new_pin })));
      say(`The PIN of ${name} is ${isChange ? 'changed' : 'set'}.`, true);
    } catch (error) {
      // It may have cost a try.
      this.changed();
      throw error;
    }
  }

  takePin({ pin_set: isSet, retries, power_cycle_needed: isNeeded }) {
    this.hasPin = isSet;
    const does = isSet ? 'Change the PIN' : 'Set a PIN';
    write(this.setPin, does);
    this.setPin.ariaLabel = `${does}: ${this.card.name}`;
    show(this.setPin, true);
    const left = `set, ${retries} ${retries === 1 ? 'try' : 'tries'} left${isNeeded ? ', and none before it is power-cycled' : ''}`;
    write(this.pin, `PIN: ${isSet ? left : 'none'}`);
  }

  takeCredentials({ credentials }) {
    show(this.noCredentials, credentials.length === 0);
    patch(this.credentials, credentials, ({ credential_id: id }) => id, (credential) => {
      const { rp_id: site, user_name: user, user_display_name: called, algorithm, discoverable, sign_count: counter } = credential;
      const whose = [user, called && called !== user ? `“${called}”` : null].filter(Boolean).join(' ') || (discoverable ? 'a user without a name' : 'not discoverable');
      const more = `${algorithm}, ${counter === null ? 'counter always 0' : `counter ${counter}`}${credential.backup_eligible ? `, ${credential.backup_state ? 'backed up' : 'may be backed up'}` : ''}`;
      return [element('strong', {}, site), element('span', {}, whose), element('small', {}, more)];
    });
  }

  takeFaults({ faults: known }) {
    show(this.noFaults, known.length === 0);
    const { name } = this.card;
    patch(this.faults, known, ({ fault }) => fault, ({ fault, happened }) => [
      element('code', {}, fault), element('small', {}, happened === 0 ? 'did not happen yet' : `happened ${happened === 1 ? 'once' : `${happened} times`}`),
      button('Switch off', `${fault} at ${name}`, async () => this.takeFaults(await call('DELETE', ofKey(name, '/faults'), { fault }))),
    ]);
  }
}

// Makes a list that of these, by what each is known by: what is the same stays.
function patch(list, all, identity, made) {
  const before = new Map([...list.children].map((item) => [item.dataset.is, item]));
  const items = all.map((one) => {
    const [is, says] = [identity(one), JSON.stringify(one)];
    const known = before.get(is);
    if (known?.dataset.says === says) return known;
    const item = element('li', {}, ...made(one));
    Object.assign(item.dataset, { is, says });
    return item;
  });
  const isSame = items.length === list.children.length && items.every((item, at) => item === list.children[at]);
  if (!isSame) list.replaceChildren(...items);
}

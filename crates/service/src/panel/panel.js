// Who gets in, and what the service tells meanwhile.

import { call, find, hasToken, keepToken, on, Refused, say, show, stream, whenLost, write } from './core.js';
import { useFaults } from './inside.js';
import * as keys from './keys.js';
import * as told from './told.js';

// How long it takes until the service is asked again when it has gone, milliseconds.
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

// The number of the last event of the transcript.
let traced = 0;
let following = null;

function enter(isIn) {
  show(find('gate'), !isIn);
  show(find('panel'), isIn);
  show(find('tools'), isIn);
}

function outside(why) {
  following?.abort();
  following = null;
  keepToken(null);
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  write(find('gate-why'), why);
  write(find('live'), 'locked');
  find('live').className = '';
  enter(false);
  find('gate-title').focus();
}

function live(text, isLive) {
  write(find('live'), text);
  find('live').className = isLive ? 'good' : 'bad';
}

// A code is in the address once: it is not left in the history, or where somebody may copy it from.
async function exchangeCode() {
  const code = /^#code=([0-9a-f]+)$/.exec(location.hash)?.[1];
  if (!code) return null;
  history.replaceState(null, '', location.pathname);
  try {
    keepToken((await call('POST', '/v1/panel/tokens', { code })).token);
    return null;
  } catch (error) {
    return error.message;
  }
}

async function start() {
  const refused = await exchangeCode();
  if (!hasToken()) {
    outside(refused ?? 'It shows keys, and touches them: that is for those who started them.');
    return;
  }
  // Opened before in this tab, with a code that was used then.
  await open();
}

async function open() {
  following?.abort();
  try {
    const { profiles, faults, commands } = await call('GET', '/v1/catalogue');
    keys.useProfiles(profiles);
    keys.offerProfiles();
    useFaults(faults, commands ?? []);
  } catch (error) {
    if (error instanceof Refused && error.code.startsWith('token')) return;
    say(error.message);
    return;
  }
  enter(true);
  following = new AbortController();
  await follow(following.signal);
}

async function follow(signal) {
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    try {
      for await (const { event, id, data } of stream(`/v1/panel/stream?trace_after=${traced}`, signal)) {
        pause = FIRST_PAUSE;
        const what = JSON.parse(data);
        if (event === 'rack') {
          live('live', true);
          keys.takeRack(what);
        } else if (event === 'key') {
          keys.takeKey(what);
        } else if (event === 'trace') {
          traced = Number(id);
          told.take(what);
        }
      }
    } catch (error) {
      if (!(error instanceof Refused) && !signal.aborted && error.name !== 'TypeError') throw error;
    }
    if (signal.aborted) return;
    live('keyrig does not answer: has it ended?', false);
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}

whenLost((why) => outside(why));
keys.begin();
told.begin();
on(find('gate-form'), 'submit', async ({ target }) => {
  const { token } = target.elements;
  keepToken(token.value.trim());
  token.value = '';
  await open();
});
addEventListener('hashchange', () => start());
start();

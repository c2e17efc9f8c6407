// `navigator.credentials`, from and to WebAuthn's own JSON, and what a browser's refusal means: browsers say little, and this
// page knows its address, the settings and what was asked.

import { printable, state } from '/core.js';

// Why no browser would let this page use a key with these settings, or the site refuse what a key signs here; `null` if nothing is wrong.
export function trouble(site) {
  if (isAddress(location.hostname)) {
    return 'Browsers have no WebAuthn on an IP address: open this page by a name, such as localhost.';
  }
  if (!window.isSecureContext) {
    return `Browsers have no WebAuthn on this page, ${location.origin}: it needs https, or http://localhost.`;
  }
  if (!window.PublicKeyCredential) return 'This browser has no WebAuthn.';
  if (!site) return null;
  const refusal = site.origin_refusal;
  // Where the RP ID does not fit and the settings allow the page, it is a related origin (Level 3, §5.11).
  if (refusal && !fits(site.rp_id)) return misfit(site.rp_id);
  return refusal && `What keys sign on this page will be refused: this page is at ${location.origin}, the settings allow ${refusal.expected}. ${refusal.explanation}`;
}

const isAddress = (host) => /^[\d.]+$|:/.test(host);

// WebAuthn Level 3, §5.1.3: the RP ID is the page's host, or above it.
const fits = (rpId) => location.hostname === rpId || location.hostname.endsWith(`.${rpId}`);

function misfit(rpId) {
  const origins = state.site?.origins ?? [];
  const at = origins.length ? `Open it at ${origins.join(' or ')}` : `Open it at ${rpId}`;
  return `This page is at ${location.origin}, and the settings have the RP ID ${rpId} (id=): browsers let a page use keys of ${rpId} only at `
    + `${rpId} or a host below it. ${at}, or set id= to ${location.hostname}; keys that are enrolled stay with the old one.`;
}

export async function credential(operation, options) {
  const problem = trouble(null);
  if (problem) throw new Error(problem);
  if (!PublicKeyCredential.parseCreationOptionsFromJSON) {
    throw new Error('This browser lacks the JSON form of WebAuthn: use a newer one.');
  }
  const publicKey = operation === 'create'
    ? PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey)
    : PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
  const began = performance.now();
  try {
    return (await navigator.credentials[operation]({ publicKey })).toJSON();
  } catch (error) {
    throw explained(error, operation, options.publicKey, performance.now() - began);
  }
}

function explained(error, operation, asked, took) {
  if (error.name === 'InvalidStateError' && operation === 'create') {
    const passkey = asked.authenticatorSelection?.residentKey === 'required';
    return new Error(`This key is registered already.${passkey ? ' To log in with it alone, choose "Make it a passkey" beside it.' : ''}`);
  }
  const meaning = meanings[error.name]?.(operation, asked, took);
  return new Error(`The browser says ${error.name}: ${printable(error.message)}${meaning ? ` ${meaning}` : ''}`);
}

const meanings = {
  SecurityError(operation, asked) {
    const rpId = operation === 'create' ? asked.rp.id : asked.rpId;
    if (!fits(rpId) && state.site?.origin_refusal === null) {
      return `This page is at ${location.origin}, a related origin of the RP ID ${rpId}: the browser has to know those, and to find this one at `
        + `${rpId}/.well-known/webauthn, over TLS that it trusts.`;
    }
    if (!fits(rpId)) return misfit(rpId);
    return `The page's address, ${location.origin}, and the RP ID ${rpId} fit. Left are: ${rpId} is a public suffix, below which anybody can `
      + 'have a domain; or the browser does not trust the certificate, which it holds against WebAuthn even after a warning was passed.';
  },
  NotAllowedError(operation, asked, took) {
    if (took >= asked.timeout) return `Nobody touched a key within the ${Math.round(asked.timeout / 1000)} s that the settings allow.`;
    if (window.self !== window.top) return 'This page is in a frame of another: that one has to allow it by its Permissions-Policy.';
    if (took < 50) return 'It came at once, before any key was asked: this window has to be in front, and the click yours.';
    const often = ['somebody cancelled, or refused at the key'];
    if (operation === 'create' && asked.authenticatorSelection?.userVerification === 'required') {
      often.push('the key has no PIN or finger, which a passkey needs: set one first', 'its PIN is blocked');
    }
    const allowed = asked.allowCredentials?.length ?? 0;
    if (operation === 'get' && allowed) {
      often.push(`the key that was touched is none of the ${allowed} that this account has here for ${asked.rpId}`);
    } else if (operation === 'get') {
      often.push(`no passkey for ${asked.rpId} is on the key that was touched`);
    }
    return `Browsers do not tell which it was: ${often.join('; or ')}. Of keyrig's keys, keyrig exec --explain tells what they heard.`;
  },
  NotSupportedError(operation, asked) {
    if (operation !== 'create') return '';
    const algorithms = asked.pubKeyCredParams.map(({ alg }) => alg).join(', ');
    return `The settings (policy ${state.site?.policy}) offer the algorithms ${algorithms}, and no key here has one of these.`;
  },
  ConstraintError() {
    return 'The key cannot do what was required: keep a passkey, or verify its user by PIN or finger.';
  },
  AbortError() {
    return 'The page or the browser ended it: another ceremony may have begun.';
  },
  UnknownError() {
    return 'The key or the system failed; unplug the key, plug it in and try again.';
  },
};

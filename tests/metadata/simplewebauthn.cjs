// Has npm's @simplewebauthn/server read metadata in all its variants, and verify a registration by it. Input and output: see
// tests/tests/metadata.rs.
'use strict';

const { readFileSync } = require('node:fs');
const { MetadataService, SettingsService, verifyRegistrationResponse } = require('@simplewebauthn/server');

// What an error says, and what caused it.
function words(error) {
  const cause = error.cause ? `; ${words(error.cause)}` : '';
  return `${error.name}: ${error.message}${cause}`;
}

(async () => {
  const asked = JSON.parse(readFileSync(0, 'utf8'));
  SettingsService.setRootCertificates({ identifier: 'mds', certificates: [asked.root] });
  // What vouches for a key is its metadata alone.
  for (const identifier of ['packed', 'fido-u2f']) {
    SettingsService.setRootCertificates({ identifier, certificates: [] });
  }
  for (const variant of asked.variants) {
    // It goes on without a BLOB that it does not take, and tells the log why.
    const log = [];
    const error = (text, cause) => log.push(cause ? `${text} ${words(cause)}` : text);
    const silent = () => {};
    const logger = { trace: silent, debug: silent, info: silent, warn: silent, error };
    let refused = null;
    try {
      await MetadataService.initialize({
        mdsServers: [`${asked.base}/${variant}.jwt`],
        verificationMode: 'strict',
        logger,
      });
      const { verified } = await verifyRegistrationResponse({
        response: asked.credential,
        expectedChallenge: asked.challenge,
        expectedOrigin: asked.origin,
        expectedRPID: asked.rpId,
        requireUserVerification: false,
      });
      if (!verified) throw new Error('not verified');
    } catch (caught) {
      refused = [...log, words(caught)].join('; ');
    }
    console.log(JSON.stringify({ variant, refused }));
  }
})();

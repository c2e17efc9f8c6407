// Verifies ceremonies with npm's @simplewebauthn/server. Input and output: see tests/tests/verifiers.rs.
'use strict';

const { createInterface } = require('node:readline');
const {
  SettingsService,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} = require('@simplewebauthn/server');

const registered = new Map();

/** What the clock says where certificates have to be valid at another time than now. */
const RealDate = Date;
function setTime(seconds) {
  globalThis.Date =
    seconds === undefined || seconds === null
      ? RealDate
      : class extends RealDate {
          constructor(...given) {
            super(...(given.length === 0 ? [seconds * 1000] : given));
          }

          static now() {
            return seconds * 1000;
          }
        };
}

async function register(ceremony) {
  for (const identifier of ['packed', 'fido-u2f', 'tpm', 'android-key', 'apple']) {
    const certificates = ceremony.root === null ? [] : [ceremony.root];
    SettingsService.setRootCertificates({ identifier, certificates });
  }
  setTime(ceremony.time);
  const { verified, registrationInfo } = await verifyRegistrationResponse({
    response: ceremony.credential,
    expectedChallenge: ceremony.challenge,
    expectedOrigin: ceremony.origins ?? ceremony.origin,
    expectedRPID: ceremony.rpId,
    requireUserVerification: ceremony.userVerification,
    supportedAlgorithmIDs: ceremony.algorithms,
  });
  if (!verified) throw new Error('not verified');
  registered.set(ceremony.name, registrationInfo.credential);
}

async function authenticate(ceremony) {
  const { verified } = await verifyAuthenticationResponse({
    response: ceremony.credential,
    expectedChallenge: ceremony.challenge,
    expectedOrigin: ceremony.origins ?? ceremony.origin,
    expectedRPID: ceremony.rpId,
    requireUserVerification: ceremony.userVerification,
    credential: registered.get(ceremony.registration),
  });
  if (!verified) throw new Error('not verified');
}

(async () => {
  for await (const line of createInterface({ input: process.stdin })) {
    const ceremony = JSON.parse(line);
    let refused = null;
    try {
      await ('registration' in ceremony ? authenticate(ceremony) : register(ceremony));
    } catch (error) {
      refused = `${error.name}: ${error.message}`;
    }
    console.log(JSON.stringify({ name: ceremony.name, refused }));
  }
})();

"""A site in the test's own process, on PyPI's webauthn."""

from typing import Any

import webauthn
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

ORIGIN, RP_ID = "https://login.example.com", "example.com"


class Site:
    def __init__(self, *, verified: bool = False, discoverable: bool = False) -> None:
        self.registered: dict[str, Any] = {}
        self._verified = verified
        self._discoverable = discoverable

    @property
    def _verification(self) -> UserVerificationRequirement:
        return UserVerificationRequirement.REQUIRED if self._verified else UserVerificationRequirement.DISCOURAGED

    def creation(self) -> Any:
        resident = ResidentKeyRequirement.REQUIRED if self._discoverable else ResidentKeyRequirement.DISCOURAGED
        return webauthn.generate_registration_options(
            rp_id=RP_ID,
            rp_name="Example",
            user_name="alice",
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=resident, user_verification=self._verification
            ),
        )

    def request(self) -> Any:
        allowed = [PublicKeyCredentialDescriptor(id=webauthn.base64url_to_bytes(one)) for one in self.registered]
        return webauthn.generate_authentication_options(
            rp_id=RP_ID,
            allow_credentials=None if self._discoverable else allowed,
            user_verification=self._verification,
        )

    def registers(self, credential: Any, options: Any) -> None:
        self.registered[credential["id"]] = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=options.challenge,
            expected_origin=ORIGIN,
            expected_rp_id=RP_ID,
            require_user_verification=self._verified,
        )

    def accepts(self, credential: Any, options: Any) -> None:
        known = self.registered[credential["id"]]
        known.sign_count = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=options.challenge,
            expected_origin=ORIGIN,
            expected_rp_id=RP_ID,
            credential_public_key=known.credential_public_key,
            credential_current_sign_count=known.sign_count,
            require_user_verification=self._verified,
        ).new_sign_count

    def register(self, page: Any) -> Any:
        options = self.creation()
        credential = page.create(webauthn.options_to_json(options))
        self.registers(credential, options)
        return credential

    def log_in(self, page: Any) -> Any:
        options = self.request()
        credential = page.get(webauthn.options_to_json(options))
        self.accepts(credential, options)
        return credential

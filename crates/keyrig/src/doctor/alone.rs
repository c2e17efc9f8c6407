//! The doctor without TLS: nothing can be asked.

use clap::Args;
use keyrig_client::Origin;
use keyrig_scenario::doctor::Address;
use keyrig_scenario::verifier::Recording;

use super::Asked;
use crate::failure::Failure;

/// Nothing.
pub(super) type Fetcher = ();

#[derive(Args)]
pub(super) struct Running {}

impl Running {
    pub(super) fn page(&self) -> Option<Origin> {
        None
    }

    pub(super) fn host(&self) -> Option<&str> {
        None
    }

    pub(super) async fn options(&self, _: &mut Option<Fetcher>) -> Result<Option<Recording>, Failure> {
        Ok(None)
    }

    pub(super) fn fetcher(&self, _: &[Origin], _: &[String]) -> Result<Fetcher, Failure> {
        Ok(())
    }

    pub(super) fn check(&self, _: bool) -> Result<(), Failure> {
        Ok(())
    }

    pub(super) fn names_any(&self) -> bool {
        false
    }

    pub(super) async fn look(&self, asked: Asked, _: &[Address]) -> Asked {
        asked
    }
}

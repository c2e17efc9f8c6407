//! What the doctor asks of a running site, and of whom it may.

use std::path::PathBuf;

use clap::Args;
use keyrig_client::Origin;
use keyrig_client::related_origins::{self, Fetched};
pub(super) use keyrig_scenario::doctor::Fetcher;
use keyrig_scenario::doctor::{self, Address, FoundFile, Pinned, RelatedOrigins, Warning};
use keyrig_scenario::verifier::Recording;
use url::Url;

use super::{Asked, Contacted};
use crate::failure::{Failure, advice};

#[derive(Args)]
pub(super) struct Running {
    /// Where a site sends its options: they are fetched, and the RP ID is taken from there
    #[arg(long, value_name = "URL", group = "settings")]
    options_url: Option<Url>,

    /// What is posted to --options-url; without it, it is a GET
    #[arg(long, value_name = "JSON", requires = "options_url")]
    options_body: Option<String>,

    /// Where in the answer the options are, as data.publicKey or /data/publicKey. Without it they are looked for
    #[arg(long, value_name = "PATH", requires = "options_url")]
    json_path: Option<String>,

    /// A host that may be asked, by a redirect or for the RP ID's file of related origins; again for more
    #[arg(long = "fetch", value_name = "HOST", value_parser = host)]
    fetched: Vec<String>,

    /// Where a host's port is, whatever its name resolves to, as curl has it; ADDR may have a port of its own
    #[arg(long = "resolve", value_name = "HOST:PORT:ADDR")]
    pinned: Vec<Pinned>,

    /// Certificates in PEM that are trusted beside those that this machine trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

fn host(text: &str) -> Result<String, String> {
    let host = url::Host::parse(text).map_err(|error| format!("{error}: write a host, as example.com"))?;
    Ok(host.to_string())
}

impl Running {
    /// Where options are fetched, as a page's address.
    pub(super) fn page(&self) -> Option<Origin> {
        self.options_url.as_ref()?.origin().ascii_serialization().parse().ok()
    }

    /// The host there.
    pub(super) fn host(&self) -> Option<&str> {
        self.options_url.as_ref()?.host_str()
    }

    /// What the site sends, if it is to be asked.
    pub(super) async fn options(&self, fetcher: &mut Option<Fetcher>) -> Result<Option<Recording>, Failure> {
        if self.options_url.is_none() && (self.options_body.is_some() || self.json_path.is_some()) {
            return Err(Failure::Usage("--options-body and --json-path go with --options-url".to_owned()));
        }
        let (Some(url), Some(fetcher)) = (&self.options_url, fetcher) else { return Ok(None) };
        Ok(Some(fetcher.options(url, self.options_body.as_deref(), self.json_path.as_deref()).await?))
    }

    /// Whoever asks, if there is anything that may be asked.
    pub(super) fn fetcher(&self, pages: &[Origin], origins: &[String]) -> Result<Fetcher, Failure> {
        let of_origins = origins.iter().filter_map(|origin| origin.parse::<Origin>().ok());
        let hosts = pages.iter().cloned().chain(of_origins).filter_map(|origin| origin.host());
        let named = hosts.chain(self.host().map(str::to_owned)).chain(self.fetched.iter().cloned());
        let ca = match &self.ca {
            Some(file) => Some(std::fs::read(file).map_err(|error| Failure::Input(file.clone(), error))?),
            None => None,
        };
        let named = named.collect();
        Fetcher::new(named, self.pinned.clone(), ca.as_deref())
            .map_err(|error| Failure::Trust(self.ca.clone().unwrap_or_default(), error))
    }

    /// Looks at what is said of asking where nobody is asked, too.
    pub(super) fn check(&self, may_ask: bool) -> Result<(), Failure> {
        if !may_ask && self.ca.is_some() {
            self.fetcher(&[], &[])?;
        }
        Ok(())
    }

    /// Whether a site was named that runs.
    pub(super) fn names_any(&self) -> bool {
        self.options_url.is_some() || !self.fetched.is_empty()
    }

    /// Has the file of related origins fetched if an address needs it and it may be.
    pub(super) async fn look(&self, mut asked: Asked, addresses: &[Address]) -> Asked {
        let rp_id = asked.site.settings.rp_id.clone();
        let file = related_origins::address(&rp_id);
        let needs = addresses.iter().find(|address| doctor::needs_related_origins(&asked.site, address));
        let mut warn = |code, text| asked.warnings.push(Warning { code, row: None, text });
        let Some(needs) = needs else {
            if self.fetched.contains(&rp_id) {
                warn("not-fetched", format!("{file} was not fetched: every address may use the RP ID without it"));
            }
            return asked;
        };
        let Some(fetcher) = &mut asked.fetcher else { return asked };
        if !fetcher.may_ask(&rp_id) {
            warn(
                "not-fetched",
                format!(
                    "{file} was not fetched, as nobody named {rp_id}: it can let {} use the RP ID (--fetch {rp_id})",
                    needs.origin
                ),
            );
            return asked;
        }
        let FoundFile { answers, failed } = fetcher.related_origins(&rp_id).await;
        let hint = failed.as_ref().and_then(advice);
        asked.contacted = answers
            .iter()
            .map(|(address, fetched)| Contacted { address: address.clone(), answer: answer(fetched, hint.as_deref()) })
            .collect();
        asked.site.related_origins = RelatedOrigins::Fetched(answers);
        if asked.of_site {
            take_for_accepted(&mut asked, addresses);
        }
        asked
    }
}

/// Whom a site lists it may not expect: that is not seen from outside, so it is taken for well, and said.
fn take_for_accepted(asked: &mut Asked, addresses: &[Address]) {
    let needs = addresses.iter().filter(|address| doctor::needs_related_origins(&asked.site, address));
    let listed: Vec<_> = needs.filter(|address| doctor::is_let(&asked.site, address)).collect();
    for origin in listed.iter().map(|address| address.origin.to_string()) {
        let text = format!(
            "browsers let {origin} use the RP ID; whether the site takes answers from there is not seen from outside"
        );
        asked.warnings.push(Warning { code: "not-seen", row: Some(35), text });
        asked.site.settings.related_origins.push(origin);
    }
}

/// What came of asking, in a few words.
fn answer(fetched: &Fetched, hint: Option<&str>) -> String {
    match fetched {
        Fetched::Answer { status, content_type, body } => {
            let content_type = content_type.as_deref().unwrap_or("no type");
            format!("status {status}, {content_type}, {} bytes", body.len())
        }
        Fetched::Redirect(location) => format!("redirects to {location}"),
        Fetched::Unreachable(reason) => match hint {
            Some(hint) => format!("{reason}; {hint}"),
            None => reason.clone(),
        },
    }
}

//! One page in one browser: where it is, and which rules it is held to.

use core::fmt;
use core::time::Duration;

use keyrig_ctap::entities::User;

use crate::account::{Account, UserChoice};
use crate::app_id;
use crate::browser::Browser;
use crate::client_data::{self, ClientData};
use crate::error::{ClientError, DomException, Refusal};
use crate::json::Mediation;
use crate::origin::Origin;
use crate::pin::{Pin, PinRequest};
use crate::rp_id::{self, RpIdRefusal};

/// What a ceremony without a timeout gets, and the most that any gets. Chromium's limit; it also gives each ten seconds at
/// least, which would be long for a test of a timeout and is not held to here.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// Whether the page is held to a browser's rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// It is: what a browser refuses is refused.
    #[default]
    Enforced,
    /// Dangerous, and no browser: whatever the page's origin is, it may claim any RP ID, and a key's answer that a browser
    /// would throw away (another RP ID's hash, extensions that nobody asked for) reaches the page. A key that cannot verify the
    /// user is asked without, even if the browser would insist. clientDataJSON tells the truth all the same. For finding out what a server or a key says to what no browser would send.
    ForcedPast,
}

type AskForPin = Box<crate::pin::AskForPin<'static>>;
type ChooseAccount = Box<dyn Fn(&[Account]) -> Option<usize> + Send + Sync>;

/// One page in one browser. [`create`](Self::create) and [`get`](Self::get) are its ceremonies.
pub struct Client {
    pub(crate) origin: Origin,
    /// The pages that it is a frame in, the nearest first and the one at the top last.
    pub(crate) ancestors: Vec<Origin>,
    pub(crate) mediation: Mediation,
    pub(crate) rules: Rules,
    pub(crate) browser: Browser,
    choose_account: ChooseAccount,
    pub(crate) user: Option<UserChoice>,
    pub(crate) ask_for_pin: Option<AskForPin>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, ancestors, mediation, rules, browser, choose_account: _, user, ask_for_pin: _ } = self;
        f.debug_struct("Client")
            .field("origin", origin)
            .field("ancestors", ancestors)
            .field("mediation", mediation)
            .field("rules", rules)
            .field("browser", browser)
            .field("user", user)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A page at the top of its window, held to a browser's rules; it takes the first account that a key offers,
    /// and has nobody to ask for a PIN.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            ancestors: Vec::new(),
            mediation: Mediation::default(),
            rules: Rules::Enforced,
            browser: Browser::default(),
            choose_account: Box::new(|_| Some(0)),
            user: None,
            ask_for_pin: None,
        }
    }

    /// The page is a frame in another page, which has permitted it to use WebAuthn. If the two have different origins,
    /// clientDataJSON says so.
    #[must_use]
    pub fn in_a_frame_of(self, top_origin: Origin) -> Self {
        self.in_frames_of(vec![top_origin])
    }

    /// The same, where frames are in frames: the pages around it, the nearest first and the one at the top last.
    #[must_use]
    pub fn in_frames_of(mut self, ancestors: Vec<Origin>) -> Self {
        self.ancestors = ancestors;
        self
    }

    /// How the user is brought in.
    #[must_use]
    pub fn with_mediation(mut self, mediation: Mediation) -> Self {
        self.mediation = mediation;
        self
    }

    /// The rules that the page is held to.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// The browser that the page is in: Chromium, unless told otherwise.
    #[must_use]
    pub fn in_browser(mut self, browser: Browser) -> Self {
        self.browser = browser;
        self
    }

    /// Who chooses if a key has several accounts for the site: the index of one of them, or `None` for none.
    #[must_use]
    pub fn choosing_accounts(mut self, choose: impl Fn(&[Account]) -> Option<usize> + Send + Sync + 'static) -> Self {
        self.choose_account = Box::new(choose);
        self
    }

    /// Takes the account of this user, if the site allows any (no `allowCredentials`, or [`Mediation::Conditional`]), and no other.
    #[must_use]
    pub fn choosing_user(mut self, user: UserChoice) -> Self {
        self.user = Some(user);
        self
    }

    /// Who is asked for a key's PIN. Without anybody, the page is in a browser that has no dialog for it: user verification
    /// by a PIN is then as good as not there.
    ///
    /// It is asked again after a mistake, which [`PinRequest`] tells of, until it gives no PIN: an answer that is always the
    /// same would spend the key's retries.
    #[must_use]
    pub fn asking_for_pin(mut self, ask: impl Fn(&PinRequest) -> Option<Pin> + Send + Sync + 'static) -> Self {
        self.ask_for_pin = Some(Box::new(ask));
        self
    }

    /// Gives this PIN when one is asked for, and none after a mistake.
    #[must_use]
    pub fn with_pin(self, pin: Pin) -> Self {
        self.asking_for_pin(move |request| request.mistake.is_none().then(|| pin.clone()))
    }

    /// Which account signs in; `discovered` if the site leaves it open.
    pub(crate) fn choose(&self, accounts: &[Account], discovered: bool) -> Result<usize, Refusal> {
        match &self.user {
            Some(user) if discovered => account_of(user, accounts),
            _ if accounts.len() == 1 => Ok(0),
            _ => {
                let chosen = (self.choose_account)(accounts).filter(|index| *index < accounts.len());
                chosen.ok_or(Refusal::NoAccountChosen)
            }
        }
    }

    /// What the browser says of the page before it looks at anything else: whether the page has WebAuthn, and the RP ID that it
    /// gets for what it claims (WebAuthn Level 3 §5.1.3 steps 6 to 8, §5.1.4.1 steps 5 to 7). No key is asked.
    ///
    /// # Errors
    /// [`ClientError`], as from [`create`](Self::create) and [`get`](Self::get).
    pub fn check_page(&self, claimed: Option<&str>) -> Result<String, ClientError> {
        self.check_secure_context()?;
        self.rp_id(claimed)
    }

    pub(crate) fn timeout(wanted: Option<Duration>) -> Duration {
        wanted.map_or(LONGEST_TIMEOUT, |timeout| timeout.min(LONGEST_TIMEOUT))
    }

    /// The application parameter of an AppID (WebAuthn Level 3 §10.1.1).
    pub(crate) fn app_id(&self, app_id: Option<&str>) -> Result<Option<[u8; 32]>, ClientError> {
        let Some(app_id) = app_id else { return Ok(None) };
        let forced = client_data::hash(app_id.as_bytes());
        let application = self.unless_forced(app_id::application_parameter(&self.origin, app_id), forced);
        application.map(Some).map_err(|refused| Refusal::AppId(refused).named(DomException::SecurityError))
    }

    /// What the rules say, or what is done instead if the page is forced past them.
    pub(crate) fn unless_forced<T, E>(&self, verdict: Result<T, E>, instead: T) -> Result<T, E> {
        match self.rules {
            Rules::Enforced => verdict,
            Rules::ForcedPast => Ok(verdict.unwrap_or(instead)),
        }
    }

    /// Outside of a secure context there is nothing that a script could call. One is made by all pages that a frame is in (Secure
    /// Contexts §3.1).
    pub(crate) fn check_secure_context(&self) -> Result<(), ClientError> {
        let insecure = [&self.origin].into_iter().chain(&self.ancestors).find(|origin| !origin.is_secure_context());
        match insecure.filter(|_| self.rules == Rules::Enforced) {
            Some(origin) => {
                let origin = origin.to_string();
                Err(Refusal::InsecureContext { origin }.named(DomException::TypeError))
            }
            None => Ok(()),
        }
    }

    /// Whether the page and all pages that it is in have one origin. An opaque one is the same as no other.
    pub(crate) fn is_same_origin_with_ancestors(&self) -> bool {
        self.ancestors.iter().all(|ancestor| *ancestor == self.origin && *ancestor != Origin::Opaque)
    }

    /// Neither browser takes lists of any length.
    pub(crate) fn check_length(&self, list: &'static str, length: usize) -> Result<(), ClientError> {
        let browser = self.browser;
        let (most, name) = match browser {
            Browser::Chromium => (64, DomException::RangeError),
            Browser::Firefox => (20, DomException::SecurityError),
        };
        if self.rules == Rules::Enforced && length > most {
            return Err(Refusal::ListTooLong { list, length, browser, most }.named(name));
        }
        Ok(())
    }

    /// The RP ID of a ceremony (WebAuthn Level 3 §5.1.3 steps 6 to 8, §5.1.4.1 steps 5 to 7).
    pub(crate) fn rp_id(&self, claimed: Option<&str>) -> Result<String, ClientError> {
        let refused = match rp_id::determine(&self.origin, claimed) {
            Ok(rp_id) => return Ok(rp_id),
            Err(refused) => refused,
        };
        let forced = match self.rules {
            Rules::Enforced => None,
            Rules::ForcedPast => claimed.map(str::to_owned).or_else(|| self.origin.host()),
        };
        forced.ok_or_else(|| {
            let name = match refused {
                RpIdRefusal::OpaqueOrigin => DomException::NotAllowedError,
                _ => DomException::SecurityError,
            };
            Refusal::RpId(refused).named(name)
        })
    }

    pub(crate) fn client_data_json(&self, kind: &str, challenge: &[u8]) -> Vec<u8> {
        // Also if the page at the top has the page's own origin, and one between them has another.
        let top_origin = self.ancestors.last().filter(|_| !self.is_same_origin_with_ancestors());
        let client_data = ClientData {
            kind: kind.to_owned(),
            challenge: challenge.to_vec(),
            origin: self.origin.to_string(),
            cross_origin: top_origin.is_some(),
            top_origin: top_origin.map(ToString::to_string),
            extra: serde_json::Map::new(),
        };
        client_data.to_json()
    }
}

/// Which account is a user's.
fn account_of(user: &UserChoice, accounts: &[Account]) -> Result<usize, Refusal> {
    let users = || accounts.iter().map(|account| account.user.as_ref());
    let is_it = |there: Option<&User>| match user {
        UserChoice::Id(id) => there.is_some_and(|there| there.id == *id),
        UserChoice::Name(name) => there.is_some_and(|there| there.name.as_ref() == Some(name)),
    };
    if let Some(index) = users().position(is_it) {
        return Ok(index);
    }
    let is_by_name = matches!(user, UserChoice::Name(_));
    let is_untold = is_by_name && users().any(|there| there.is_none_or(|there| there.name.is_none()));
    Err(if is_untold {
        Refusal::AccountNamesUntold { accounts: accounts.len() }
    } else {
        Refusal::NoSuchAccount { wanted: user.clone(), accounts: accounts.to_vec() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u8, name: Option<&str>) -> Account {
        let user = User { id: vec![id], name: name.map(str::to_owned), display_name: None };
        Account { credential_id: vec![id], user: Some(user) }
    }

    #[test]
    fn an_account_is_chosen_by_user_handle_or_by_name_as_far_as_names_are_told() {
        let named = [account(1, Some("alice")), account(2, Some("bob"))];
        let unnamed = [account(1, None), account(2, None)];
        let id = |id: u8| UserChoice::Id(vec![id]);
        let name = |name: &str| UserChoice::Name(name.to_owned());
        for (wanted, accounts, expected) in [
            (id(2), &named[..], Ok(1)),
            (id(2), &unnamed, Ok(1)),
            (name("bob"), &named, Ok(1)),
            (name("bob"), &unnamed, Err(Refusal::AccountNamesUntold { accounts: 2 })),
            (name("bob"), &unnamed[..1], Err(Refusal::AccountNamesUntold { accounts: 1 })),
            (id(2), &unnamed[..1], Err(Refusal::NoSuchAccount { wanted: id(2), accounts: unnamed[..1].to_vec() })),
            (id(3), &named, Err(Refusal::NoSuchAccount { wanted: id(3), accounts: named.to_vec() })),
            (name("eve"), &named, Err(Refusal::NoSuchAccount { wanted: name("eve"), accounts: named.to_vec() })),
            (
                name("eve"),
                &named[..1],
                Err(Refusal::NoSuchAccount { wanted: name("eve"), accounts: named[..1].to_vec() }),
            ),
        ] {
            assert_eq!(account_of(&wanted, accounts), expected, "{wanted}");
        }
        for (accounts, said) in [
            (&unnamed[..], "the key has 2 accounts and tells no name of them, as it has not verified its user"),
            (&unnamed[..1], "the key has a single account, and tells no name of one"),
        ] {
            assert_eq!(account_of(&name("bob"), accounts).unwrap_err().to_string(), said);
        }
        let refused = account_of(&name("eve"), &named).unwrap_err().to_string();
        assert_eq!(refused, "the key has no account with the user name \"eve\": it has \"alice\" (AQ), \"bob\" (Ag)");
    }
}

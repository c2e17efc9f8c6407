//! One page in one browser: where it is, and which rules it is held to.

use core::fmt;

use keyrig_ctap::entities::User;

use crate::account::{Account, UserChoice};
use crate::browser::Browser;
use crate::client_data::ClientData;
use crate::error::Refusal;
use crate::json::Mediation;
use crate::origin::Origin;
use crate::permissions::Permissions;
use crate::pin::{Pin, PinRequest};
use crate::related_origins::Fetched;

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
type Fetch = Box<dyn Fn(&str) -> Fetched + Send + Sync>;
type ChooseAccount = Box<dyn Fn(&[Account]) -> Option<usize> + Send + Sync>;

/// One page in one browser. [`create`](Self::create) and [`get`](Self::get) are its ceremonies.
pub struct Client {
    pub(crate) origin: Origin,
    /// The pages that it is a frame in, the nearest first and the one at the top last.
    pub(crate) ancestors: Vec<Origin>,
    pub(crate) mediation: Mediation,
    pub(crate) rules: Rules,
    pub(crate) browser: Browser,
    pub(crate) permissions: Permissions,
    /// Whether the user has just clicked or typed in the page.
    pub(crate) user_activation: bool,
    pub(crate) certificate_error: bool,
    pub(crate) fetch: Option<Fetch>,
    choose_account: ChooseAccount,
    pub(crate) user: Option<UserChoice>,
    pub(crate) ask_for_pin: Option<AskForPin>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, ancestors, mediation, rules, browser, permissions, user_activation, user, .. } = self;
        f.debug_struct("Client")
            .field("origin", origin)
            .field("ancestors", ancestors)
            .field("mediation", mediation)
            .field("rules", rules)
            .field("browser", browser)
            .field("permissions", permissions)
            .field("user_activation", user_activation)
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
            permissions: Permissions::ALL,
            user_activation: true,
            certificate_error: false,
            fetch: None,
            choose_account: Box::new(|_| Some(0)),
            user: None,
            ask_for_pin: None,
        }
    }

    /// The page is a frame in another page, which has permitted it to use WebAuthn ([`permitted`](Self::permitted)) and where the user
    /// has just clicked ([`without_user_activation`](Self::without_user_activation)). If the two have different origins,
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

    /// The features of Permissions Policy that the page has: all, unless told otherwise.
    #[must_use]
    pub fn permitted(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// Nobody has just clicked or typed in the page (HTML §6.4.1), which matters to create() in a frame of another origin.
    #[must_use]
    pub fn without_user_activation(mut self) -> Self {
        self.user_activation = false;
        self
    }

    /// The page came with a bad TLS certificate, and the warning was clicked away.
    #[must_use]
    pub fn with_certificate_error(mut self) -> Self {
        self.certificate_error = true;
        self
    }

    /// What comes of fetching an address: the page may then claim RP IDs whose sites have listed it
    /// ([`related_origins`](crate::related_origins)). Without this nothing is fetched, which is as if every fetch failed.
    ///
    /// It is called while a ceremony begins, on its thread: what takes a network is fetched before, from
    /// [`related_origins::address`](crate::related_origins::address).
    #[must_use]
    pub fn fetching(mut self, fetch: impl Fn(&str) -> Fetched + Send + Sync + 'static) -> Self {
        self.fetch = Some(Box::new(fetch));
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

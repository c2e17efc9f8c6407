//! How requests are read: by the specification, but for what some keys take, refuse, or refuse in other words.

use keyrig_ctap::cbor::{Item, MAX_DEPTH, Writer, in_order};
use keyrig_ctap::{Command, Request, Status};

use crate::authenticator::Authenticator;
use crate::profile::Reading;

/// How deep arrays and maps may nest for Yubico's first FIDO2 keys. That they take more than [`MAX_DEPTH`] is recorded, and not
/// where that ends.
const EARLY_YUBICO_DEPTH: usize = 4 * MAX_DEPTH;

/// The members of a ceremony's request that are of the same kind in both, by their numbers.
struct Numbers {
    list: u64,
    extensions: u64,
    options: u64,
    param: u64,
    protocol: u64,
}

impl Numbers {
    fn of(command: Command) -> Option<Self> {
        match command {
            Command::MakeCredential => Some(Self { list: 5, extensions: 6, options: 7, param: 8, protocol: 9 }),
            Command::GetAssertion => Some(Self { list: 3, extensions: 4, options: 5, param: 6, protocol: 7 }),
            _ => None,
        }
    }
}

impl Authenticator {
    /// Reads a message: command byte and parameters.
    ///
    /// # Errors
    /// The status of the refusal.
    pub(crate) fn read(&self, message: &[u8]) -> Result<Request, Status> {
        self.check_strictly(message)?;
        match self.profile.behaviour.reading {
            Reading::Strict => Request::decode(message),
            Reading::AnyOrder => {
                let Some((command, parameters)) = message.split_first() else { return Request::decode(message) };
                Request::decode(&[&[*command], &in_order(parameters)[..]].concat())
            }
            Reading::EarlyYubico => self.read_as_early_yubico(message),
        }
    }

    /// What some keys do not ignore: options that CTAP does not name, and extensions that they do not have.
    fn check_strictly(&self, message: &[u8]) -> Result<(), Status> {
        let behaviour = &self.profile.behaviour;
        let (option, extension) = (behaviour.unknown_option_status, behaviour.unknown_extension_status);
        if option.is_none() && extension.is_none() {
            return Ok(());
        }
        let Some((command, parameters)) = message.split_first() else { return Ok(()) };
        let Some(numbers) = Numbers::of(Command::from(*command)) else { return Ok(()) };
        let any = |number: u64, unknown: &dyn Fn(&str) -> bool| {
            let item = Item::parse(parameters).ok().and_then(|item| member(item, number));
            let entries = item.and_then(|item| item.map().ok());
            entries.into_iter().flatten().any(|(key, _)| key.text().is_ok_and(unknown))
        };
        if let Some(status) = option
            && any(numbers.options, &|name| !["rk", "up", "uv"].contains(&name))
        {
            return Err(status);
        }
        match extension {
            Some(status) if any(numbers.extensions, &|name| !self.profile.has_extension(name)) => Err(status),
            _ => Ok(()),
        }
    }

    fn read_as_early_yubico(&self, message: &[u8]) -> Result<Request, Status> {
        let Some((byte, parameters)) = message.split_first() else { return Request::decode(message) };
        let command = Command::from(*byte);
        let rewritten = match (Numbers::of(command), command) {
            (Some(numbers), _) => {
                let item = Item::parse_within(parameters, EARLY_YUBICO_DEPTH)?;
                let rewritten = ceremony(command, &numbers, item)?;
                return Request::decode(&[&[*byte], &rewritten[..]].concat()).map_err(|status| match status {
                    Status::CborUnexpectedType => self.mistyped(&numbers, item),
                    status => status,
                });
            }
            (None, Command::ClientPin) => client_pin(parameters),
            (None, _) => Ok(()),
        };
        rewritten.and_then(|()| Request::decode(message))
    }

    /// The status for a member of another type: what is said of the `pinUvAuthParam` comes first.
    fn mistyped(&self, numbers: &Numbers, item: Item<'_>) -> Status {
        let param = member(item, numbers.param).and_then(|param| param.bytes().ok());
        match param {
            Some([_, ..]) if self.store().pin().is_none() => Status::PinNotSet,
            _ => Status::InvalidParameter,
        }
    }
}

fn member(item: Item<'_>, number: u64) -> Option<Item<'_>> {
    item.map().ok()?.find(|(key, _)| key.unsigned() == Ok(number)).map(|(_, value)| value)
}

fn field<'a>(item: Item<'a>, name: &str) -> Option<Item<'a>> {
    item.map().ok()?.find(|(key, _)| key.text() == Ok(name)).map(|(_, value)| value)
}

/// The request of a ceremony as the specification has it, of what the key reads.
fn ceremony(command: Command, numbers: &Numbers, item: Item<'_>) -> Result<Vec<u8>, Status> {
    let entries = item.map().map_err(|_| Status::InvalidParameter)?;
    let is = |number: u64, right: &dyn Fn(Item<'_>) -> bool| member(item, number).is_none_or(right);
    let right =
        is(numbers.param, &|item| item.bytes().is_ok()) && is(numbers.protocol, &|item| item.unsigned().is_ok());
    if !right {
        return Err(Status::InvalidParameter);
    }
    let makes = command == Command::MakeCredential;
    if makes && !member(item, 4).is_some_and(is_list_of_algorithms) {
        return Err(Status::UnsupportedAlgorithm);
    }
    let mut members: Vec<(u64, Vec<u8>)> = Vec::new();
    for (key, value) in entries {
        let Ok(number) = key.unsigned() else { continue };
        let written = match number {
            number if number == numbers.list => descriptors(value).unwrap_or_else(|| value.encoded().to_vec()),
            _ => value.encoded().to_vec(),
        };
        members.push((number, written));
    }
    if makes {
        let discoverable = member(item, numbers.options).and_then(|options| field(options, "rk"));
        match member(item, 3) {
            // It makes a credential of nobody, unless it has to store of whom.
            None if discoverable.is_none_or(|rk| rk.boolean() != Ok(true)) => {
                let mut nobody = Writer::new();
                nobody.map(|map| {
                    map.text_entry("id", |w| w.bytes(&[0]));
                });
                members.push((3, nobody.finish()));
                members.sort_by_key(|(number, _)| *number);
            }
            Some(user) if user.map().is_ok() && field(user, "name").is_none() => return Err(Status::MissingParameter),
            _ => {}
        }
    }
    let mut writer = Writer::new();
    writer.head(5, u64::try_from(members.len()).unwrap_or(u64::MAX));
    for (number, value) in members {
        writer.unsigned(number).raw(&value);
    }
    Ok(writer.finish())
}

fn is_list_of_algorithms(item: Item<'_>) -> bool {
    let is_one = |item: Item<'_>| {
        field(item, "alg").is_some_and(|algorithm| algorithm.integer().is_ok())
            && field(item, "type").is_some_and(|kind| kind.text().is_ok())
    };
    item.array().is_ok_and(|mut items| items.all(is_one))
}

/// A list of credential descriptors without what is not read of them.
fn descriptors(list: Item<'_>) -> Option<Vec<u8>> {
    let descriptors: Vec<_> = list.array().ok()?.collect();
    let mut writer = Writer::new();
    writer.array(descriptors.len());
    for descriptor in descriptors {
        descriptor.map().ok()?;
        writer.map(|map| {
            for name in ["id", "type"] {
                map.optional_text(name, field(descriptor, name), |w, value| w.raw(value.encoded()));
            }
        });
    }
    Some(writer.finish())
}

/// What is refused of authenticatorClientPIN, in these keys' words.
fn client_pin(parameters: &[u8]) -> Result<(), Status> {
    let item = Item::parse_within(parameters, EARLY_YUBICO_DEPTH)?;
    item.map().map_err(|_| Status::InvalidParameter)?;
    let is = |number: u64, right: &dyn Fn(Item<'_>) -> bool| member(item, number).is_none_or(right);
    let right = is(1, &|item| item.unsigned().is_ok())
        && is(3, &|item| item.map().is_ok())
        && [4, 5, 6].iter().all(|number| is(*number, &|item| item.bytes().is_ok()));
    if !right {
        return Err(Status::InvalidParameter);
    }
    let length = |number: u64| member(item, number).and_then(|item| item.bytes().ok()).map(<[u8]>::len);
    if length(5).is_some_and(|length| length < 64) || length(5).is_none() && length(4).is_some() {
        return Err(Status::InvalidLength);
    }
    if length(5).is_none() && length(6).is_some_and(|length| length < 16) {
        return Err(Status::InvalidParameter);
    }
    let subcommand = member(item, 2).and_then(|item| item.unsigned().ok());
    subcommand.map(drop).ok_or(Status::InvalidCommand)
}

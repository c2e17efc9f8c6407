//! A line of the program's log for each refused login, as Proxmox VE writes them: programs such as fail2ban look for it.

use std::net::IpAddr;

/// The `tracing` target of these lines. They are what Proxmox VE's daemon logs after its name, and are to be written after that name
/// with nothing else: `pvedaemon[PID]: authentication failure; rhost=ADDRESS user=USER msg=CAUSE`.
pub const REFUSED_LOGINS: &str = "pvedaemon";

/// The longest part of a line that somebody sent, in characters.
const MAX_PART: usize = 256;

/// Says that a login was refused.
pub(crate) fn log(address: Option<IpAddr>, user: &str, cause: &str) {
    tracing::warn!(target: "pvedaemon", "{}", line(address, user, cause));
}

fn line(address: Option<IpAddr>, user: &str, cause: &str) -> String {
    // What is no address or name bans nobody.
    let address = address.map_or("-".to_owned(), |address| address.to_canonical().to_string());
    format!("authentication failure; rhost={address} user={} msg={}", word(user), words(cause))
}

/// As one word: a name could look like the rest of a line otherwise.
fn word(text: &str) -> String {
    words(text).replace(' ', "_")
}

/// On one line, and without what the line itself begins with: what somebody sent must not name another address.
fn words(text: &str) -> String {
    let plain = |c: char| {
        if c.is_control() || c.is_whitespace() {
            ' '
        } else if c == ';' {
            ','
        } else {
            c
        }
    };
    text.chars().take(MAX_PART).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_proxmox_ve_writes() {
        let line = |address: &str| line(Some(address.parse().unwrap()), "root@pam", "no such user ('root@pam')");
        let rest = "user=root@pam msg=no such user ('root@pam')";
        assert_eq!(line("192.0.2.7"), format!("authentication failure; rhost=192.0.2.7 {rest}"));
        assert_eq!(line("::ffff:192.0.2.7"), format!("authentication failure; rhost=192.0.2.7 {rest}"));
        assert_eq!(line("2001:db8::1"), format!("authentication failure; rhost=2001:db8::1 {rest}"));
    }

    #[test]
    fn nobody_writes_another_address_into_a_line() {
        let hostile = "x\npvedaemon[1]: authentication failure; rhost=198.51.100.1 user=y msg=z";
        let line = line(None, hostile, hostile);
        assert_eq!(line.matches("authentication failure; rhost=").count(), 1);
        assert!(
            line.starts_with("authentication failure; rhost=- user=x_pvedaemon[1]:_authentication_failure,_rhost=")
        );
        assert!(!line.contains(['\n', '\r', '\u{2028}']));
        assert!(super::line(None, &"é".repeat(9999), "").chars().count() < 400);
    }
}

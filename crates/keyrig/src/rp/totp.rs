//! `keyrig rp totp`: the app that shows codes, for scripts and for phones.

use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use keyrig_relying_party::{Totp, qr_terminal};

use crate::failure::Failure;
use crate::output::{print, print_as_it_is};

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig rp totp 'otpauth://totp/keyrig:root%40pam?secret=…&issuer=keyrig'
  keyrig rp totp - --qr < uri     a QR code for a phone's camera

Others on the machine can see a command line, and the address holds the secret:
- reads it from standard input.")]
pub(crate) struct Arguments {
    /// The otpauth address of the enrolment, or - for standard input
    uri: String,

    /// The code at another time than now, in seconds since 1970
    #[arg(long, value_name = "SECONDS", conflicts_with = "qr")]
    at: Option<u32>,

    /// Draw the address as a QR code instead
    #[arg(long)]
    qr: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut uri = arguments.uri.clone();
    if uri == "-" {
        uri.clear();
        let mut input = std::io::Read::take(std::io::stdin().lock(), 4096);
        input.read_line(&mut uri).map_err(|error| Failure::Read(Path::new("standard input").to_owned(), error))?;
    }
    let totp = Totp::from_uri(uri.trim())?;
    if arguments.qr {
        // As it is understood here, and not what else was in the address.
        print_as_it_is(qr_terminal(&totp.uri())?)?;
    } else {
        let at = arguments.at.map(|at| SystemTime::UNIX_EPOCH + Duration::from_secs(at.into()));
        print(totp.code(at.unwrap_or_else(SystemTime::now)))?;
    }
    Ok(ExitCode::SUCCESS)
}

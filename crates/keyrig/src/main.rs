//! The command line of keyrig.

fn main() {}

#[path = "../../tests/support/schema.rs"]
mod schema;

use super::*;

#[test]
fn every_line_is_what_its_schema_says() {
    let key: KeyName = "a".parse().unwrap();
    let lines = [
        Line::Started { control: "/run/user/0/keyrig/control".into(), http: None, crypto: "p256" },
        Line::Started {
            control: "/run/user/0/keyrig/control".into(),
            http: Some(http::Listening {
                url: "http://127.0.0.1:8100".to_owned(),
                token_file: Some("/run/user/0/keyrig/control.token".into()),
            }),
            crypto: "graviola",
        },
        Line::Attached { key: &key, port: Some(8) },
        Line::Attached { key: &key, port: None },
        Line::Node { key: &key, path: "/dev/hidraw0".into() },
        Line::Unplugged { key: &key },
        Line::DetachedByKernel { key: &key },
        Line::Failed { key: &key, reason: "no port is free".to_owned() },
    ];
    for line in lines {
        schema::assert_is("attach", &serde_json::to_value(line).unwrap());
    }
}

//! The ways by which a flow reaches its keys.

/// Runs a flow over both ways that a browser could have to a key.
macro_rules! over_both {
    ($flow:ident, $in_process:ident, $over_usb_ip:ident, $profile:literal, $names:expr) => {
        #[tokio::test]
        async fn $in_process() {
            let rack = $crate::rack_of($profile, &$names).await;
            let key = |key: &&str| {
                keyrig_client::Key::new(
                    *key,
                    keyrig_ways::InProcess(rack.key(&$crate::name(key)).expect("there is one")),
                )
            };
            $flow(&rack, &mut $names.iter().map(key).collect::<Vec<_>>()).await;
        }

        #[tokio::test]
        async fn $over_usb_ip() {
            let rack = $crate::rack_of($profile, &$names).await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let server = listener.local_addr().expect("bound");
            tokio::spawn(keyrig_usb::serve(listener, rack.exports().clone(), keyrig_usb::Limits::default()));
            let mut keys = Vec::new();
            for (index, key) in $names.iter().enumerate() {
                keys.push(keyrig_client::Key::new(
                    *key,
                    keyrig_ways::usb_ip(server, &format!("1-{}", index + 1)).await.expect("exported"),
                ));
            }
            $flow(&rack, &mut keys).await;
        }
    };
}

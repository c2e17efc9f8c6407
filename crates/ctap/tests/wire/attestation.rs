//! The attestation object (WebAuthn Level 3 §6.5.4).

use keyrig_ctap::attestation::Statement;

use crate::hex;

/// The keys of the map in CTAP2 canonical order: `fmt`, `attStmt`, `authData`, by length.
#[test]
fn the_attestation_object_has_its_keys_in_canonical_order() {
    for (statement, format, encoded) in [
        (Statement::None, "646e6f6e65", "a0"),
        (
            Statement::Packed { algorithm: -7, signature: vec![1, 2], certificates: vec![vec![0x30]] },
            "667061636b6564",
            "a3 63616c67 26 63736967 420102 63783563 81 4130",
        ),
        (
            Statement::FidoU2f { signature: vec![1, 2], certificate: vec![0x30] },
            "686669646f2d753266",
            "a2 63736967 420102 63783563 81 4130",
        ),
        (Statement::Other { format: "x".into(), encoded: hex("a1 00 00") }, "6178", "a1 00 00"),
    ] {
        let expected = hex(&format!("a3 63666d74 {format} 6761747453746d74 {encoded} 686175746844617461 43aabbcc"));
        assert_eq!(statement.attestation_object(&[0xAA, 0xBB, 0xCC]), expected);
    }
}

//! A FIDO HID device on USB, and USB/IP: codec, server and userland client.

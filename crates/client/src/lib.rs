//! What a browser and a platform do with a security key.

//! A rack of security keys: plugging, touching, persistence and control.

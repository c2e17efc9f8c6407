//! What the owner does about fingerprints.

use super::Act;
use super::bounds::check_name;
use super::refused::FingerprintRefused;
use crate::authenticator::Authenticator;
use crate::bio_enrollment::new_template_id;
use crate::fingerprint::Fingerprint;
use crate::profile::Fingerprints;
use crate::store::Change;

impl Authenticator {
    /// The fingerprints that the key knows.
    ///
    /// # Errors
    /// [`FingerprintRefused::NotSupported`].
    pub fn fingerprints(&self) -> Result<Vec<Fingerprint>, FingerprintRefused> {
        self.sensor()?;
        Ok(self.store().fingerprints().cloned().collect())
    }

    /// Has the key know another finger, as if all samples had been given: the id of the new template.
    ///
    /// # Errors
    /// [`FingerprintRefused`].
    pub fn enroll_fingerprint(&mut self, name: String) -> Result<Act<Vec<u8>>, FingerprintRefused> {
        let sensor = self.sensor()?;
        if self.store().fingerprints().len() >= sensor.templates.into() {
            return Err(FingerprintRefused::Full(sensor.templates));
        }
        check_name(sensor, &name)?;
        let id = new_template_id(self);
        let enrolled = Fingerprint { id: id.clone(), name };
        Ok(Act::new(vec![Change::PutFingerprint(enrolled)], |_| id))
    }

    /// Gives a finger another name.
    ///
    /// # Errors
    /// [`FingerprintRefused`].
    pub fn rename_fingerprint(&self, id: &[u8], name: String) -> Result<Act<()>, FingerprintRefused> {
        check_name(self.sensor()?, &name)?;
        let known = self.store().fingerprint(id).ok_or(FingerprintRefused::NotKnown)?;
        let renamed = Fingerprint { name, ..known.clone() };
        Ok(Act::new(vec![Change::PutFingerprint(renamed)], |_| ()))
    }

    /// Has the key forget a finger.
    ///
    /// # Errors
    /// [`FingerprintRefused`].
    pub fn delete_fingerprint(&self, id: &[u8]) -> Result<Act<()>, FingerprintRefused> {
        self.sensor()?;
        let known = self.store().fingerprint(id).ok_or(FingerprintRefused::NotKnown)?;
        Ok(Act::new(vec![Change::RemoveFingerprint(known.id.clone())], |_| ()))
    }

    fn sensor(&self) -> Result<Fingerprints, FingerprintRefused> {
        self.profile.fingerprints().ok_or(FingerprintRefused::NotSupported)
    }
}

//! Encrypted images: how they are made, and the words by which a tool is told to open one.

use serde::{Deserialize, Serialize};

use crate::{Fixture, FormatOptions};

/// The `--object` that holds the passphrase of every encrypted image.
pub const SECRET: &str = "secret,id=s,data=oracle";

/// How the guest data of a qcow2 image is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// The format's own AES, whose key is the passphrase.
    Aes,
    /// LUKS, whose header lies in the image.
    Luks,
}

impl FormatOptions {
    /// The driver option that names the passphrase of an image; `None` if it is not encrypted.
    pub fn key_option(&self) -> Option<&'static str> {
        match self {
            Self::Luks => Some("key-secret"),
            Self::Qcow2(options) => options.encryption.map(|_| "encrypt.key-secret"),
            _ => None,
        }
    }

    /// Whether nobody reads the image without a passphrase.
    pub fn is_encrypted(&self) -> bool {
        self.key_option().is_some()
    }

    /// The options of `create` that encrypt an image: as few rounds as qemu-img does, which are tens of thousands still.
    pub(crate) fn encryption_options(&self) -> Option<&'static str> {
        match self {
            Self::Luks => Some("key-secret=s,iter-time=10"),
            Self::Qcow2(options) => options.encryption.map(|encryption| match encryption {
                Encryption::Aes => "encrypt.format=aes,encrypt.key-secret=s",
                Encryption::Luks => "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10",
            }),
            _ => None,
        }
    }

    /// The options with which a tool that needs the guest's data opens an image, and the word that stands for `file` then.
    /// The format is probed unless it is `named`.
    pub fn opening(&self, file: &str, named: bool) -> (Vec<String>, String) {
        let Some(key) = self.key_option() else {
            let options = if named { vec!["-f".into(), self.name().into()] } else { Vec::new() };
            return (options, file.into());
        };
        let driver = if named { format!("driver={},", self.name()) } else { String::new() };
        let options = ["--object", SECRET, "--image-opts"].map(Into::into).into();
        (options, format!("{driver}file.filename={},{key}=s", file.replace(',', ",,")))
    }
}

impl Fixture {
    /// Whether its new area may hold zeros that do not read as such: those of the file, decrypted.
    pub fn grows_by_noise(&self, preallocated: bool) -> bool {
        matches!(self.format, FormatOptions::Luks) || (preallocated && self.format.is_encrypted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Qcow2;

    #[test]
    fn only_an_encrypted_image_is_opened_by_options() {
        let plain = FormatOptions::Qcow2(Qcow2::default());
        assert_eq!(plain.opening("a,b", true), (vec!["-f".into(), "qcow2".into()], "a,b".into()));
        assert_eq!(plain.opening("a", false), (Vec::new(), "a".into()));
        let aes = Qcow2 { encryption: Some(Encryption::Aes), ..Qcow2::default() };
        let (options, file) = FormatOptions::Qcow2(aes).opening("a,b", true);
        assert_eq!(options.last().map(String::as_str), Some("--image-opts"));
        assert_eq!(file, "driver=qcow2,file.filename=a,,b,encrypt.key-secret=s");
        assert_eq!(FormatOptions::Luks.opening("a", false).1, "file.filename=a,key-secret=s");
    }
}

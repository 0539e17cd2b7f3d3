//! `--object secret,...`: passphrases by name, in `qemu-img`'s syntax.
//!
//! A passphrase lives here until the command ends, is wiped then, and is in no message. Of what is printed
//! it can only be in the words that the user typed, which no message repeats.

use crate::error::CliError;
use crate::keyval::{self, Pair};
use crate::message::{errno_text, printable};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use zeroize::{Zeroize, Zeroizing};

/// Longest secret that is read from a file, in bytes: far beyond any passphrase.
const MAX_FILE: u64 = 1 << 20;

/// All secrets of a command line.
#[derive(Default)]
pub struct Secrets(Vec<(String, Zeroizing<Vec<u8>>)>);

/// One object, as it was spelled out.
#[derive(Default)]
struct Definition {
    id: Option<String>,
    data: Option<Zeroizing<Vec<u8>>>,
    file: Option<OsString>,
    base64: bool,
}

fn refused(text: impl Into<String>) -> CliError {
    CliError::Refused(text.into())
}

impl Secrets {
    /// The secrets that `objects`, the values of `--object`, define.
    ///
    /// # Errors
    /// [`CliError::Refused`] in `qemu-img`'s words.
    pub fn parse(objects: &[OsString]) -> Result<Self, CliError> {
        let mut all = Self::default();
        for object in objects {
            let (id, data) = definition(object)?.resolve()?;
            if all.find(&id).is_some() {
                let text = format!("attempt to add duplicate property '{id}' to object (type 'container')");
                return Err(refused(text));
            }
            all.0.push((id, data));
        }
        Ok(all)
    }

    /// The passphrase called `id`.
    ///
    /// # Errors
    /// `qemu-img`'s words: there is none, or it is no text.
    pub fn passphrase(&self, id: &str) -> Result<&[u8], String> {
        let id_shown = printable(id);
        let data = self.find(id).ok_or_else(|| format!("No secret with id '{id_shown}'"))?;
        match std::str::from_utf8(data) {
            Ok(_) => Ok(data),
            Err(_) => Err(format!("Data from secret {id_shown} is not valid UTF-8")),
        }
    }

    fn find(&self, id: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, data)| data.as_slice())
    }
}

/// Reads one object; what it says is checked as far as that is possible without files.
fn definition(object: &OsStr) -> Result<Definition, CliError> {
    let pairs = match object.as_bytes().starts_with(b"{") {
        true => keyval::from_json(object.as_bytes()),
        false => keyval::parse(object.as_bytes(), "qom-type"),
    };
    let mut pairs = pairs.map_err(refused)?;
    let mut definition = Definition::default();
    let mut kind = None;
    for pair in &mut pairs {
        let value = Zeroizing::new(std::mem::take(&mut pair.value));
        match pair.key.as_str() {
            "qom-type" => kind = Some(text(&value)),
            "id" => definition.id = Some(text(&value)),
            "data" => definition.data = Some(value),
            "file" => definition.file = Some(OsString::from_vec(value.to_vec())),
            "format" => definition.base64 = is_base64(&value)?,
            "keyid" | "iv" => return Err(refused("encrypted secrets (keyid, iv) are not supported")),
            _ => continue,
        }
    }
    match kind.as_deref() {
        Some("secret") => {}
        Some(other) => return Err(refused(format!("Parameter 'qom-type' does not accept value '{other}'"))),
        None => return Err(refused("Parameter 'qom-type' is missing")),
    }
    unexpected(&pairs)?;
    Ok(definition)
}

fn text(value: &[u8]) -> String {
    printable(&String::from_utf8_lossy(value))
}

fn is_base64(value: &[u8]) -> Result<bool, CliError> {
    match value {
        b"raw" => Ok(false),
        b"base64" => Ok(true),
        other => Err(refused(format!("Parameter 'format' does not accept value '{}'", text(other)))),
    }
}

fn unexpected(pairs: &[Pair]) -> Result<(), CliError> {
    const KNOWN: [&str; 5] = ["qom-type", "id", "data", "file", "format"];
    match pairs.iter().find(|pair| !KNOWN.contains(&pair.key.as_str())) {
        Some(pair) => Err(refused(format!("Parameter '{}' is unexpected", printable(&pair.key)))),
        None => Ok(()),
    }
}

impl Definition {
    /// Its name and its passphrase.
    fn resolve(self) -> Result<(String, Zeroizing<Vec<u8>>), CliError> {
        let id = self.id.ok_or_else(|| refused("Parameter 'id' is missing"))?;
        if !keyval::is_identifier(&id) {
            return Err(refused(
                "Parameter 'id' expects an identifier\n\
                 Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
            ));
        }
        let data = match (self.data, self.file) {
            (Some(_), Some(_)) => return Err(refused("'file' and 'data' are mutually exclusive")),
            (None, None) => return Err(refused("Either 'file' or 'data' must be provided")),
            (Some(data), None) => data,
            (None, Some(file)) => read(&file)?,
        };
        match self.base64 {
            true => decode(&data)
                .map(|data| (id, data))
                .ok_or_else(|| refused("Base64 data contains invalid characters")),
            false => Ok((id, data)),
        }
    }
}

fn read(path: &OsStr) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let name = crate::message::shown(path);
    let file = File::open(path).map_err(|e| {
        refused(format!("Unable to read {name}: Failed to open file “{name}”: {}", errno_text(&e)))
    })?;
    let mut data = Zeroizing::new(Vec::new());
    file.take(MAX_FILE).read_to_end(&mut data).map_err(|e| {
        refused(format!("Unable to read {name}: Error reading file “{name}”: {}", errno_text(&e)))
    })?;
    Ok(data)
}

/// Decodes base64 (RFC 4648, section 4); as for `qemu-img`, lines may break, and bits short of a group of
/// four digits are dropped.
fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut bits, mut digits, mut padding) = (0_u32, 0, 0);
    for byte in text {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                0
            }
            b'\n' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        digits += 1;
        if digits == 4 {
            let [_, group @ ..] = bits.to_be_bytes();
            out.extend_from_slice(&group[..3_usize.saturating_sub(padding)]);
            (bits, digits, padding) = (0, 0, 0);
        }
    }
    bits.zeroize();
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(objects: &[&str]) -> Result<Secrets, String> {
        let objects: Vec<_> = objects.iter().map(OsString::from).collect();
        Secrets::parse(&objects).map_err(|e| e.to_string())
    }

    fn passphrase(object: &str) -> Result<Vec<u8>, String> {
        parsed(&[object])?.passphrase("s").map(<[u8]>::to_vec)
    }

    #[test]
    fn secrets_are_spelled_as_for_qemu_img() {
        for object in [
            "secret,id=s,data=a,,b",
            "qom-type=secret,id=s,data=x,data=a,,b",
            "secret,id=s,data=YSxi,format=base64",
            r#"{"qom-type": "secret", "id": "s", "data": "a,b"}"#,
        ] {
            assert_eq!(passphrase(object), Ok(b"a,b".to_vec()), "{object}");
        }
        assert_eq!(passphrase("secret,id=s,data=cHc=,format=base64"), Ok(b"pw".to_vec()));
        assert_eq!(passphrase("secret,id=s,data=cHc,format=base64"), Ok(Vec::new()));
        assert_eq!(passphrase("secret,id=t,data=pw"), Err("No secret with id 's'".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_said_in_qemu_words() {
        let table = [
            ("secret", "Parameter 'id' is missing"),
            ("secret,id=s", "Either 'file' or 'data' must be provided"),
            ("secret,id=s,data=pw,file=x", "'file' and 'data' are mutually exclusive"),
            ("secret,id=s,data=c*c=,format=base64", "Base64 data contains invalid characters"),
            ("secret,id=s,data=pw,format=bogus", "Parameter 'format' does not accept value 'bogus'"),
            ("secret,id=s,data=pw,bogus=1", "Parameter 'bogus' is unexpected"),
            ("bogus,id=s,data=pw", "Parameter 'qom-type' does not accept value 'bogus'"),
            ("secret,id=s,data", "Expected '=' after parameter 'data'"),
            ("", "Parameter 'qom-type' is missing"),
            (
                r#"{"qom-type":"secret","id":"s","data":5}"#,
                "Invalid parameter type for 'data', expected: string",
            ),
            (
                "secret,id=s,file=/nonexistent",
                "Unable to read /nonexistent: Failed to open file “/nonexistent”: No such file or directory",
            ),
        ];
        for (object, expected) in table {
            assert_eq!(parsed(&[object]).err().as_deref(), Some(expected), "{object}");
        }
        let twice = parsed(&["secret,id=s,data=pw", "secret,id=s,data=pw"]).err();
        assert!(twice.is_some_and(|e| e.contains("duplicate property 's'")));
    }
}

//! Names that an image stores for its other files, as `qemu-img` reads them.

use crate::image_opts::ImageOpts;
use crate::message::printable;
use crate::name::ImageName;
use serde_json::{Map, Value};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What a stored name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The file.
    pub name: ImageName,
    /// The format that the name itself tells, if it is one that does.
    pub format: Option<String>,
    /// The name of the secret that opens it, if it tells one.
    pub key_secret: Option<String>,
}

impl Stored {
    /// The name `stored` in the image `owner`: a path relative to that image's directory, with or
    /// without `file:` before it, or `json:{...}` with a `driver` and a `file`.
    ///
    /// # Errors
    /// What to say of a name that is none of them.
    pub fn parse(owner: &ImageName, stored: &[u8]) -> Result<Self, String> {
        match stored.strip_prefix(b"json:") {
            Some(json) => from_json(json),
            None => {
                let name = ImageName::new(OsStr::from_bytes(&owner.resolve(stored)))?;
                Ok(Self { name, format: None, key_secret: None })
            }
        }
    }
}

fn from_json(json: &[u8]) -> Result<Stored, String> {
    let not_parsed = |e| format!("Could not parse the JSON options: {}", printable(&format!("{e}")));
    let options: Map<String, Value> = serde_json::from_slice(json).map_err(not_parsed)?;
    let (mut format, mut path, mut key_secret) = (None, None, None);
    for (name, value) in flat(options) {
        let Value::String(value) = value else {
            return Err(format!("json: option '{}' is not text", printable(&name)));
        };
        match name.as_str() {
            "driver" => format = Some(value),
            "file.filename" | "filename" => path = Some(value),
            "file.driver" if value == "file" => {}
            "key-secret" | "encrypt.key-secret" => key_secret = Some(value),
            _ => return Err(format!("json: option '{}' is not supported", printable(&name))),
        }
    }
    let path = path.ok_or_else(|| "A block device must be specified for \"file\"".to_owned())?;
    // A node of the file itself: its bytes are the disk.
    let format = format.map(|format| if format == "file" { "raw".to_owned() } else { format });
    let name = ImageName::new(OsStr::new(&format!("file:{path}")))?;
    let described = key_secret.as_ref().and_then(|_| ImageOpts::from_json(json).ok()?.shown());
    Ok(Stored { name: name.described(described), format, key_secret })
}

/// Objects within are the same as names with dots.
fn flat(options: Map<String, Value>) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, value) in options {
        match value {
            Value::Object(within) => {
                all.extend(within.into_iter().map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            value => all.push((name, value)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(stored: &str) -> Result<(String, Option<String>), String> {
        let owner = ImageName::new(OsStr::new("dir/ov.img")).expect("a name");
        Stored::parse(&owner, stored.as_bytes()).map(|s| (s.name.text(), s.format))
    }

    #[test]
    fn plain_names_are_relative_to_their_image() {
        assert_eq!(parse("base.img"), Ok(("dir/base.img".to_owned(), None)));
        assert_eq!(parse("/b/base.img"), Ok(("/b/base.img".to_owned(), None)));
        assert_eq!(parse("file:base.img"), Ok(("base.img".to_owned(), None)));
        assert_eq!(parse("nbd:x:1"), Err("Unknown protocol 'nbd'".to_owned()));
    }

    #[test]
    fn json_names_tell_driver_and_file() {
        let qcow2 = Ok(("b:1.img".to_owned(), Some("qcow2".to_owned())));
        let nested = r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"b:1.img"}}"#;
        assert_eq!(parse(nested), qcow2);
        assert_eq!(parse(r#"json:{"driver":"qcow2","file.filename":"b:1.img"}"#), qcow2);
        let raw = Ok(("b".to_owned(), Some("raw".to_owned())));
        assert_eq!(parse(r#"json:{"driver":"file","filename":"b"}"#), raw);
        assert_eq!(parse(r#"json:{"file.filename":"b"}"#), Ok(("b".to_owned(), None)));
    }

    #[test]
    fn json_names_tell_secrets() {
        let owner = ImageName::new(OsStr::new("ov.img")).expect("a name");
        let secret = |stored: &str| Stored::parse(&owner, stored.as_bytes()).expect(stored).key_secret;
        let of = |driver, key| format!(r#"json:{{"driver":"{driver}","{key}":"s","file.filename":"b"}}"#);
        assert_eq!(secret(&of("luks", "key-secret")).as_deref(), Some("s"));
        assert_eq!(secret(&of("qcow2", "encrypt.key-secret")).as_deref(), Some("s"));
        assert_eq!(secret("b"), None);
    }

    #[test]
    fn json_names_that_say_more_are_refused() {
        for (stored, text) in [
            ("json:{", "Could not parse the JSON options"),
            ("json:[]", "Could not parse the JSON options"),
            ("json:{}", "A block device must be specified"),
            (r#"json:{"driver":"raw","size":5,"file.filename":"b"}"#, "json: option 'size' is not text"),
            (r#"json:{"driver":"raw","offset":"5","file.filename":"b"}"#, "json: option 'offset'"),
            (r#"json:{"driver":"raw","file":{"driver":"nbd","host":"h"}}"#, "json: option 'file.driver'"),
            (
                r#"json:{"driver":"luks","key-secret":7,"file.filename":"b"}"#,
                "json: option 'key-secret' is not text",
            ),
            (r#"json:{"driver":"raw","file":"node"}"#, "json: option 'file' is not supported"),
        ] {
            let error = parse(stored).expect_err(stored);
            assert!(error.starts_with(text), "{stored}: {error}");
        }
    }
}

//! `--image-opts` and `json:` names: an image by the options of its block driver, as far as resize, info and check have
//! a use for them.

use crate::keyval::{self, Pair};
use crate::message::printable;
use crate::part::RawLayer;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What the options say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageOpts {
    /// The format; it is probed if there is none.
    pub driver: Option<String>,
    /// The file.
    pub filename: OsString,
    /// The name of the secret with the passphrase.
    pub key_secret: Option<String>,
    /// What the image is said to be encrypted with.
    pub encryption: Option<String>,
    /// Whether the backing file is left alone.
    pub detached: bool,
    /// Whether the image may not be written.
    pub read_only: bool,
    /// What is said of the images behind it, the first one first.
    pub behind: Vec<Behind>,
    /// Raw layers between the file and the format, from below, and last the format itself if that is raw.
    pub layers: Vec<RawLayer>,
}

/// What the options say of a backing file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behind {
    /// Its format, whatever the image says.
    pub driver: Option<String>,
    /// Its file, whatever the image says.
    pub filename: Option<String>,
    /// The name of the secret with its passphrase.
    pub key_secret: Option<String>,
    /// One of its options as it was spelled out: what is no use to `info`.
    pub spelled: String,
}

/// Most raw layers below a format, or images behind it that options say something of.
const MAX_LAYERS: usize = 16;

/// What begins the name of an option of the image behind.
const BACKING: &str = "backing.";
/// What begins the name of an option of the layer below.
const FILE: &str = "file.";

/// Options that change how a driver works, not what it does.
const TUNING: [&str; 14] = [
    "node-name",
    "discard",
    "detect-zeroes",
    "cache.direct",
    "cache.no-flush",
    "auto-read-only",
    "file.driver",
    "file.node-name",
    "file.locking",
    "file.aio",
    "file.cache.direct",
    "file.cache.no-flush",
    "file.discard",
    "file.auto-read-only",
];
/// The same of qcow2: what is on or off.
const QCOW2_SWITCHES: [&str; 5] = [
    "lazy-refcounts",
    "pass-discard-request",
    "pass-discard-snapshot",
    "pass-discard-other",
    "discard-no-unref",
];
/// The same of qcow2, anything else.
const QCOW2_TUNING: [&str; 4] = ["overlap-check", "l2-cache-size", "refcount-cache-size", "cache-size"];

impl ImageOpts {
    /// Understands the options.
    ///
    /// # Errors
    /// What is wrong with them, in `qemu-img`'s words where it has some.
    pub fn parse(words: &OsStr) -> Result<Self, String> {
        Self::from_pairs(keyval::parse(words.as_bytes(), "file")?)
    }

    /// Understands the same options as JSON, what follows `json:`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        Self::from_pairs(keyval::from_json_tree(text)?)
    }

    fn from_pairs(mut pairs: Vec<Pair>) -> Result<Self, String> {
        let is_file = |pair: &Pair| pair.key == "driver" && pair.value == b"file";
        if pairs.iter().any(is_file) {
            // A node of the file itself: its bytes are the disk.
            pairs.iter_mut().filter(|pair| is_file(pair)).for_each(|pair| pair.value = b"raw".to_vec());
            let own = pairs.iter_mut().filter(|pair| pair.key == "filename");
            own.for_each(|pair| pair.key = "file.filename".to_owned());
        }
        let mut opts = Self::default();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        // The last of several values counts, and what an option means depends on the driver.
        let last = |key: &str| pairs.iter().rfind(|pair| pair.key == key).map(|pair| text(&pair.value));
        if let Some(node) = last("file") {
            let node = printable(&node);
            return Err(format!("Cannot find device='{node}' nor node-name='{node}'"));
        }
        opts.driver = last("driver");
        known_driver(opts.driver.as_deref(), &["raw", "qcow2", "qed", "luks"])?;
        let is_raw =
            |depth: &usize| last(&format!("{}driver", FILE.repeat(*depth))).as_deref() == Some("raw");
        let depth = (1..=MAX_LAYERS).take_while(is_raw).count();
        opts.layers = vec![RawLayer::default(); depth + 1];
        let pairs = opts.take_layers(pairs)?;
        let last = |key: &str| pairs.iter().rfind(|pair| pair.key == key).map(|pair| text(&pair.value));
        known_driver(last("file.driver").as_deref(), &["file"])?;
        let file = pairs.iter().rfind(|pair| pair.key == "file.filename");
        opts.filename = match file {
            Some(pair) => OsString::from_vec(pair.value.clone()),
            None if opts.driver.is_none() => return Err("Must specify either driver or file".to_owned()),
            None => return Err("A block device must be specified for \"file\"".to_owned()),
        };
        for pair in &pairs {
            opts.take(&pair.key, text(&pair.value))?;
        }
        Ok(opts)
    }

    /// Takes the options of raw layers out of `pairs`; those of the file are left as if there were none of them.
    fn take_layers(&mut self, pairs: Vec<Pair>) -> Result<Vec<Pair>, String> {
        let depth = self.layers.len() - 1;
        let mut rest = Vec::with_capacity(pairs.len());
        for mut pair in pairs {
            let below = (0..=depth).take_while(|n| pair.key.starts_with(&FILE.repeat(n + 1))).count();
            let key = pair.key[FILE.len() * below..].to_owned();
            if below == depth + 1 {
                pair.key = format!("{FILE}{key}");
                rest.push(pair);
                continue;
            }
            let raw = below > 0 || self.driver.as_deref() == Some("raw");
            if raw && self.layers[depth - below].take(&key, &pair) {
                continue;
            }
            if below == 0 {
                rest.push(pair);
            } else if key == "filename" {
                return Err("A block device must be specified for \"file\"".to_owned());
            } else if key != "driver" && !TUNING.contains(&key.as_str()) {
                return Err(format!("Block format 'raw' does not support the option '{}'", printable(&key)));
            }
        }
        Ok(rest)
    }

    /// Takes one option; the driver and its file are known.
    fn take(&mut self, key: &str, value: String) -> Result<(), String> {
        let qcow2 = self.driver.as_deref().is_none_or(|driver| driver == "qcow2");
        let luks = self.driver.as_deref().is_none_or(|driver| driver == "luks");
        match key {
            "driver" | "file.filename" => {}
            "encrypt.key-secret" if qcow2 => self.key_secret = Some(value),
            "key-secret" if luks => self.key_secret = Some(value),
            "encrypt.format" if qcow2 => self.encryption = Some(value),
            "backing" if value.is_empty() => self.detached = true,
            _ if qcow2 && key.starts_with(BACKING) => self.take_behind(key, value)?,
            "read-only" => self.read_only = on_off(key, &value)?,
            _ if TUNING.contains(&key) => {}
            _ if qcow2 && QCOW2_SWITCHES.contains(&key) => drop(on_off(key, &value)?),
            _ if qcow2 && QCOW2_TUNING.contains(&key) => {}
            _ => return Err(self.unknown(key)),
        }
        Ok(())
    }

    /// Takes an option of an image behind this one.
    fn take_behind(&mut self, key: &str, value: String) -> Result<(), String> {
        let mut depth = 0;
        let mut own = key;
        while let Some(rest) = own.strip_prefix(BACKING).filter(|_| depth < MAX_LAYERS) {
            (own, depth) = (rest, depth + 1);
        }
        self.behind.resize(self.behind.len().max(depth), Behind::default());
        let Some(behind) = depth.checked_sub(1).and_then(|at| self.behind.get_mut(at)) else {
            return Err(self.unknown(key));
        };
        key.clone_into(&mut behind.spelled);
        match own {
            "driver" => {
                known_driver(Some(&value), &["raw", "qcow2", "qed", "luks", "vpc", "vhdx"])?;
                behind.driver = Some(value);
            }
            "file.filename" => behind.filename = Some(value),
            "key-secret" | "encrypt.key-secret" => behind.key_secret = Some(value),
            "encrypt.format" => {}
            _ if [&TUNING[..], &QCOW2_SWITCHES, &QCOW2_TUNING].iter().any(|known| known.contains(&own)) => {}
            _ => return Err(self.unknown(key)),
        }
        Ok(())
    }

    fn unknown(&self, key: &str) -> String {
        let key = printable(key);
        if let Some(key) = key.strip_prefix("file.") {
            return format!("Block protocol 'file' doesn't support the option '{key}'");
        }
        match (self.driver.as_deref().unwrap_or("qcow2"), key.strip_prefix("encrypt.")) {
            ("qcow2", Some(key)) => format!("Parameter '{key}' is unexpected"),
            (driver, _) => format!("Block format '{driver}' does not support the option '{key}'"),
        }
    }

    /// The image's name where `qemu-img` prints one: the file's, unless the options say more than that.
    pub fn shown(&self) -> Option<String> {
        let below = self.shown_below();
        let file = below.last()?;
        let own = self.layers.last().filter(|own| own.is_part());
        let secret = self.key_secret.as_deref().map(quoted);
        Some(match (self.driver.as_deref(), secret) {
            (Some("raw"), _) if own.is_some() || below.len() > 1 => {
                format!("json:{}", self.layers.last()?.shown(file))
            }
            (Some("luks"), Some(secret)) => {
                format!("json:{{\"driver\": \"luks\", \"file\": {file}, \"key-secret\": {secret}}}")
            }
            (_, Some(secret)) => {
                format!("json:{{\"encrypt.key-secret\": {secret}, \"driver\": \"qcow2\", \"file\": {file}}}")
            }
            (driver, None) if below.len() > 1 => {
                format!("json:{{\"driver\": {}, \"file\": {file}}}", quoted(driver.unwrap_or("qcow2")))
            }
            _ => return None,
        })
    }

    /// The file and the raw layers above it that are not the image itself, from below, as `qemu-img` spells them out.
    pub fn shown_below(&self) -> Vec<String> {
        let name = quoted(&self.filename.to_string_lossy());
        let mut all = vec![format!("{{\"driver\": \"file\", \"filename\": {name}}}")];
        for layer in self.layers.iter().rev().skip(1).rev() {
            all.push(layer.shown(&all[all.len() - 1]));
        }
        all
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn known_driver(driver: Option<&str>, known: &[&str]) -> Result<(), String> {
    match driver {
        Some(driver) if !known.contains(&driver) => Err(format!("Unknown driver '{}'", printable(driver))),
        _ => Ok(()),
    }
}

fn on_off(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("Parameter '{key}' expects 'on' or 'off'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<ImageOpts, String> {
        ImageOpts::parse(OsStr::new(words))
    }

    #[test]
    fn options_mean_what_they_mean_to_qemu_img() {
        let opts = parse("driver=qcow2,file.driver=file,file.filename=a,,b,encrypt.key-secret=s,backing=")
            .expect("understood");
        assert_eq!(opts.filename, "a,b");
        assert_eq!((opts.key_secret.as_deref(), opts.detached), (Some("s"), true));
        let shown = r#"json:{"encrypt.key-secret": "s", "driver": "qcow2", "file": {"driver": "file", "filename": "a,b"}}"#;
        assert_eq!(opts.shown().as_deref(), Some(shown));
        assert_eq!(parse("driver=raw,file.filename=x").expect("understood").shown(), None);
    }

    #[test]
    fn raw_layers_lie_between_the_file_and_the_format() {
        let opts =
            parse("driver=qcow2,file.driver=raw,file.offset=64k,file.file.filename=w").expect("understood");
        assert_eq!((opts.layers.len(), opts.shown_below().len()), (2, 2));
        let shown = r#"json:{"driver": "qcow2", "file": {"offset": "64k", "driver": "raw", "file": {"driver": "file", "filename": "w"}}}"#;
        assert_eq!(opts.shown().as_deref(), Some(shown));
        let json = r#"{"driver":"raw","offset":1024,"size":"1k","file":{"driver":"file","filename":"r"}}"#;
        let opts = ImageOpts::from_json(json.as_bytes()).expect("understood");
        let shown = r#"json:{"offset": 1024, "driver": "raw", "size": "1k", "file": {"driver": "file", "filename": "r"}}"#;
        assert_eq!(opts.shown().as_deref(), Some(shown));
    }

    #[test]
    fn json_says_the_same() {
        let json = |text: &str| ImageOpts::from_json(text.as_bytes());
        let nested = r#"{"driver":"qcow2","backing":null,"file":{"driver":"file","filename":"a,b"},"cache.direct":true}"#;
        assert_eq!(json(nested), parse("driver=qcow2,file.filename=a,,b,backing="));
        assert_eq!(json(r#"{"read-only":true,"file.filename":"x"}"#), parse("file.filename=x,read-only=on"));
        assert_eq!(json(r#"{"driver":"file","filename":"x"}"#), parse("driver=raw,file.filename=x"));
        let words = |text: &str| json(text).expect_err(text);
        assert_eq!(words("[]"), "Invalid JSON object given");
        assert_eq!(words("{}"), "Must specify either driver or file");
        assert_eq!(words(r#"{"filename":"x"}"#), "Must specify either driver or file");
        assert!(words("{").starts_with("Could not parse the JSON options: "));
        let unknown = r#"{"driver":"qcow2","file":{"filename":"q"},"bogus":1}"#;
        assert_eq!(words(unknown), "Block format 'qcow2' does not support the option 'bogus'");
        let deep = "[".repeat(1 << 20);
        assert!(words(&deep).starts_with("Could not parse"));
    }

    #[test]
    fn what_is_wrong_is_said_in_qemu_words() {
        let table = [
            ("q.img", "Cannot find device='q.img' nor node-name='q.img'"),
            ("", "Must specify either driver or file"),
            ("driver=qcow2", "A block device must be specified for \"file\""),
            ("driver=bogus,file.filename=q", "Unknown driver 'bogus'"),
            (
                "driver=qcow2,file.filename=q,bogus=1",
                "Block format 'qcow2' does not support the option 'bogus'",
            ),
            (
                "driver=qcow2,file.filename=q,file.bogus=1",
                "Block protocol 'file' doesn't support the option 'bogus'",
            ),
            ("driver=qcow2,file.filename=q,encrypt.bogus=1", "Parameter 'bogus' is unexpected"),
            (
                "driver=raw,encrypt.key-secret=s,file.filename=pw",
                "Block format 'raw' does not support the option 'encrypt.key-secret'",
            ),
            (
                "driver=qcow2,size=512,file.filename=q",
                "Block format 'qcow2' does not support the option 'size'",
            ),
            (
                "driver=qcow2,file.size=1,file.filename=q",
                "Block protocol 'file' doesn't support the option 'size'",
            ),
            ("file.driver=raw,file.filename=q", "A block device must be specified for \"file\""),
        ];
        for (words, expected) in table {
            assert_eq!(parse(words).err().as_deref(), Some(expected), "{words}");
        }
    }
}

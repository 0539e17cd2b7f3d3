//! `--image-opts` and `json:` names: an image by the options of its block driver, as far as resize, info and check have
//! a use for them.

mod shown;

use crate::keyval::{self, Pair};
use crate::message::printable;
use crate::part::RawLayer;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What the options say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageOpts {
    /// The format, or `file` for the bytes of the file; it is probed if there is none.
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
    /// What is said of the image behind it, and of those behind that, in the same words.
    pub behind: Vec<Pair>,
    /// Raw layers between the file and the format, from below, and last the format itself if that is raw.
    pub layers: Vec<RawLayer>,
    /// How often a backing file is left alone in words that are deprecated.
    pub deprecated: usize,
    /// All of it, as long as the format is not known.
    unprobed: Vec<Pair>,
}

/// Most raw layers below a format.
const MAX_LAYERS: usize = 16;

/// What begins the name of an option of the image behind.
const BACKING: &str = "backing.";
/// What begins the name of an option of the layer below.
const FILE: &str = "file.";

/// The drivers that there are.
const DRIVERS: [&str; 8] = ["raw", "qcow2", "qed", "luks", "vpc", "vhdx", "vmdk", FILE_DRIVER];
/// The driver of a file itself.
pub const FILE_DRIVER: &str = "file";
/// The formats of images that name others behind them, and of what may yet turn out to be one.
const OVERLAYS: [Option<&str>; 4] = [None, Some("qcow2"), Some("qed"), Some("vmdk")];

/// Options that change how a driver works, not what it does.
const TUNING: [&str; 6] =
    ["node-name", "discard", "detect-zeroes", "cache.direct", "cache.no-flush", "auto-read-only"];
/// The same of a file alone.
const FILE_TUNING: [&str; 5] = ["locking", "aio", "aio-max-batch", "drop-cache", "x-check-cache-dropped"];
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

    /// Understands the same options as JSON, what follows `json:`. The format that is named beside them, if one is,
    /// counts for more than theirs.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_json(text: &[u8], format: Option<&str>) -> Result<Self, String> {
        let named = format.map(|format| Pair::text("driver", format));
        Self::from_pairs(keyval::joined(keyval::from_json_tree(text)?, named.into_iter().collect()))
    }

    /// The options of the file `path`, whose name says nothing of them.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn of_file(path: &OsStr, mut pairs: Vec<Pair>) -> Result<Self, String> {
        let is_raw =
            |depth: &usize| last(&pairs, &format!("{}driver", FILE.repeat(*depth))) == Some("raw".into());
        let depth = (1..=MAX_LAYERS).take_while(is_raw).count() + 1;
        let is_file = last(&pairs, "driver").as_deref() == Some(FILE_DRIVER);
        let key = format!("{}filename", FILE.repeat(if is_file { 0 } else { depth }));
        if pairs.iter().any(|pair| pair.key == key) {
            return Err("Can't specify 'file' and 'filename' options at the same time".to_owned());
        }
        pairs.push(Pair { value: path.as_bytes().to_vec(), ..Pair::text(&key, "") });
        Self::from_pairs(pairs)
    }

    /// Understands options that were taken apart. The last of several values counts, and what an option means depends on
    /// the driver.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_pairs(mut pairs: Vec<Pair>) -> Result<Self, String> {
        // Whatever the driver is, it may be told to have nothing behind it.
        let alone = |pair: &Pair| is_backing(&pair.key) && pair.value.is_empty();
        let detached = pairs.iter().any(|pair| pair.key == "backing" && alone(pair));
        let deprecated = pairs.iter().filter(|pair| alone(pair) && !pair.is_null).count();
        let all = pairs.clone();
        pairs.retain(|pair| !alone(pair) && !pair.is_null);
        if let Some(node) = last(&pairs, "file") {
            return Err(no_node(&node));
        }
        let mut opts = Self { driver: last(&pairs, "driver"), detached, deprecated, ..Self::default() };
        known_driver(opts.driver.as_deref(), &DRIVERS)?;
        if opts.driver.as_deref() == Some(FILE_DRIVER) {
            return opts.with_file_alone(&pairs);
        }
        let is_raw =
            |depth: &usize| last(&pairs, &format!("{}driver", FILE.repeat(*depth))) == Some("raw".into());
        let depth = (1..=MAX_LAYERS).take_while(is_raw).count();
        opts.layers = vec![RawLayer::default(); depth + 1];
        if opts.driver.is_none() {
            opts.unprobed = all;
        }
        let pairs = opts.take_layers(pairs)?;
        known_driver(last(&pairs, "file.driver").as_deref(), &[FILE_DRIVER])?;
        let file = pairs.iter().rfind(|pair| pair.key == "file.filename");
        opts.filename = match file {
            Some(pair) => OsString::from_vec(pair.value.clone()),
            None if opts.driver.is_none() => return Err("Must specify either driver or file".to_owned()),
            None => return Err("A block device must be specified for \"file\"".to_owned()),
        };
        for pair in pairs {
            opts.take(pair)?;
        }
        Ok(opts)
    }

    /// The same of an image that has turned out to be in this format, if none was named.
    ///
    /// # Errors
    /// As [`Self::parse`]: options that mean nothing to that format.
    pub fn probed(&self, format: &str) -> Result<Self, String> {
        if self.driver.is_some() || !DRIVERS.contains(&format) {
            return Ok(self.clone());
        }
        let mut pairs = self.unprobed.clone();
        pairs.push(Pair::text("driver", format));
        Self::from_pairs(pairs)
    }

    /// The options of a node of the file itself: its bytes are the disk.
    fn with_file_alone(mut self, pairs: &[Pair]) -> Result<Self, String> {
        let file = pairs.iter().rfind(|pair| pair.key == "filename");
        let file = file.ok_or_else(|| "The 'file' block driver requires a file name".to_owned())?;
        self.filename = OsString::from_vec(file.value.clone());
        self.layers = vec![RawLayer::default()];
        for Pair { key, value, .. } in pairs {
            match key.as_str() {
                "driver" | "filename" => {}
                "read-only" => self.read_only = on_off(key, &String::from_utf8_lossy(value))?,
                key if TUNING.contains(&key) || FILE_TUNING.contains(&key) => {}
                key => return Err(self.unknown(&format!("{FILE}{key}"))),
            }
        }
        Ok(self)
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
            let raw = below > 0 || self.driver.as_deref().is_none_or(|driver| driver == "raw");
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
    fn take(&mut self, pair: Pair) -> Result<(), String> {
        let is = |format: &str| self.driver.as_deref().is_none_or(|driver| driver == format);
        let overlays = OVERLAYS.contains(&self.driver.as_deref());
        let value = String::from_utf8_lossy(&pair.value).into_owned();
        let key = pair.key.as_str();
        let of_file = key
            .strip_prefix(FILE)
            .is_some_and(|key| key == "driver" || TUNING.contains(&key) || FILE_TUNING.contains(&key));
        match key {
            "driver" | "file.filename" => {}
            "encrypt.key-secret" if is("qcow2") => self.key_secret = Some(value),
            "key-secret" if is("luks") => self.key_secret = Some(value),
            "encrypt.format" if is("qcow2") => self.encryption = Some(value),
            "backing" if overlays => return Err(format!("Could not open backing file: {}", no_node(&value))),
            "read-only" => self.read_only = on_off(key, &value)?,
            _ if of_file || TUNING.contains(&key) => {}
            _ if is("qcow2") && QCOW2_SWITCHES.contains(&key) => drop(on_off(key, &value)?),
            _ if is("qcow2") && QCOW2_TUNING.contains(&key) => {}
            _ => match key.strip_prefix(BACKING).filter(|_| overlays) {
                Some(key) => self.behind.push(Pair { key: key.to_owned(), ..pair }),
                None => return Err(self.unknown(key)),
            },
        }
        Ok(())
    }

    fn unknown(&self, key: &str) -> String {
        let key = printable(key);
        if let Some(key) = key.strip_prefix(FILE) {
            return format!("Block protocol 'file' doesn't support the option '{key}'");
        }
        match (self.driver.as_deref().unwrap_or("qcow2"), key.strip_prefix("encrypt.")) {
            ("qcow2", Some(key)) => format!("Parameter '{key}' is unexpected"),
            (driver, _) => format!("Block format '{driver}' does not support the option '{key}'"),
        }
    }

    /// What is said of an option of the image behind where that is not opened, if there is one.
    pub fn behind_unopened(&self) -> Option<String> {
        let key = &self.behind.last()?.key;
        Some(self.unknown(&format!("{BACKING}{key}")))
    }
}

/// Whether it is the option of a layer for what is behind it.
fn is_backing(key: &str) -> bool {
    key.strip_suffix("backing").is_some_and(|layers| layers == FILE.repeat(layers.len() / FILE.len()))
}

/// The last value of `key`.
fn last(pairs: &[Pair], key: &str) -> Option<String> {
    let pair = pairs.iter().rfind(|pair| pair.key == key)?;
    Some(String::from_utf8_lossy(&pair.value).into_owned())
}

fn no_node(name: &str) -> String {
    let node = printable(name);
    format!("Cannot find device='{node}' nor node-name='{node}'")
}

fn known_driver(driver: Option<&str>, known: &[&str]) -> Result<(), String> {
    match driver {
        Some(driver) if !known.contains(&driver) => Err(format!("Unknown driver '{}'", printable(driver))),
        _ => Ok(()),
    }
}

fn on_off(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "on" | "yes" | "true" | "y" => Ok(true),
        "off" | "no" | "false" | "n" => Ok(false),
        _ => Err(format!("Parameter '{key}' expects 'on' or 'off'")),
    }
}

#[cfg(test)]
mod tests;

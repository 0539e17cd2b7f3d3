//! Options as `qemu-img` spells them out where it prints a name.

use super::{FILE_DRIVER, ImageOpts};

impl ImageOpts {
    /// The image's name where `qemu-img` prints one: the file's, unless the options say more than that.
    pub fn shown(&self) -> Option<String> {
        if self.driver.as_deref() == Some(FILE_DRIVER) {
            return None;
        }
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

/// As a string of JSON, in ASCII.
fn quoted(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let mut out = String::with_capacity(quoted.len());
    for c in quoted.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04X}")),
        }
    }
    out
}

//! What a case is called: a key that stays, and a line for people.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::{
    Backing, Case, Encryption, Fixture, FormatOptions, Maker, Preallocation, Qcow2, Resize, Vhdx, Vmdk, Vpc,
    WriteKind, size,
};

impl Case {
    /// A stable name of the case's content: 16 hexadecimal digits.
    pub fn key(&self) -> String {
        let mut text = String::new();
        for byte in Sha256::digest(self.to_json()).iter().take(8) {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The case as one line of JSON, its fields in a fixed order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a case; a field that it does not know is an error.
    ///
    /// # Errors
    /// [`serde_json::Error`] with line and column.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The case in one line for people.
    pub fn describe(&self) -> String {
        let resizes: Vec<_> = self.resizes.iter().map(Resize::describe).collect();
        format!("{} -> {}", self.fixture.describe(), resizes.join(" -> "))
    }
}

impl Fixture {
    fn describe(&self) -> String {
        let mut text = match &self.format {
            FormatOptions::Raw => "raw".to_owned(),
            FormatOptions::Luks => "luks".to_owned(),
            FormatOptions::Qcow2(options) => options.describe(),
            FormatOptions::Qed(options) => {
                let cluster = size::spell(options.cluster_size());
                format!("qed {cluster} clusters, tables of {},", options.table_size)
            }
            FormatOptions::Vpc(options) => options.describe(),
            FormatOptions::Vhdx(options) => options.describe(),
            FormatOptions::Vmdk(options) => options.describe(),
        };
        let _ = write!(text, " {}", size::spell(self.size));
        if self.maker == Maker::Own {
            text += ", own layout";
            for oddity in &self.without {
                let _ = write!(text, ", no {}", format!("{oddity:?}").to_lowercase());
            }
        }
        for kind in
            [WriteKind::Data, WriteKind::Compressed, WriteKind::Zero, WriteKind::Unmap, WriteKind::Discard]
        {
            let count = self.writes.iter().filter(|write| write.kind == kind).count();
            if count > 0 {
                let _ = write!(text, ", {count} {}", format!("{kind:?}").to_lowercase());
            }
        }
        for tweak in &self.tweaks {
            let _ = write!(text, ", {tweak:?}");
        }
        self.describe_parts(&mut text);
        text
    }
}

impl Fixture {
    fn describe_parts(&self, text: &mut String) {
        for backing in self.backing.iter().flat_map(Backing::chain) {
            let _ = write!(text, " over {} {}", backing.format.name(), size::spell(backing.size));
        }
        if let Some(file) = self.data_file {
            *text += if file.raw { ", raw data file" } else { ", data file" };
        }
        for (count, what) in [(self.snapshots.len(), "snapshots"), (self.bitmaps.len(), "bitmaps")] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        if !self.made_by.is_newest() {
            *text += ", made by the oldest";
        }
    }
}

impl Qcow2 {
    fn describe(&self) -> String {
        let cluster = size::spell(self.cluster_size());
        let mut text =
            format!("qcow2 v{} {cluster} clusters, {}-bit refcounts", self.version, self.refcount_bits);
        for (on, name) in [
            (self.lazy_refcounts, "lazy"),
            (self.extended_l2, "extended L2"),
            (self.zstd, "zstd"),
            (self.preallocated, "preallocated"),
            (self.encryption == Some(Encryption::Aes), "AES"),
            (self.encryption == Some(Encryption::Luks), "LUKS"),
        ] {
            if on {
                let _ = write!(text, ", {name}");
            }
        }
        text + ","
    }
}

/// A list of words, those that are true.
fn listed(head: String, words: &[(bool, &str)]) -> String {
    let words = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word);
    words.fold(head, |text, word| text + ", " + word) + ","
}

impl Vpc {
    fn describe(&self) -> String {
        let head = format!("vpc {} blocks, creator {:?}", size::spell(self.block_size()), self.creator);
        listed(head, &[(self.fixed, "fixed")])
    }
}

impl Vhdx {
    fn describe(&self) -> String {
        let head = format!("vhdx {} blocks, log of {} MiB", size::spell(self.block_size()), self.log_mib);
        listed(head, &[(self.fixed, "fixed"), (!self.zeroed, "blocks not zeroed")])
    }
}

impl Vmdk {
    fn describe(&self) -> String {
        let grain = size::spell(self.grain_size());
        let head = format!("vmdk {} {grain} grains, {}", self.subformat.name(), self.adapter.name());
        listed(head, &[(self.compat6, "compat6"), (self.zeroed_grain, "zeroed grains")])
    }
}

impl Resize {
    fn describe(&self) -> String {
        let mut text = self.size.clone();
        if self.shrink {
            text += " --shrink";
        }
        if self.preallocation != Preallocation::Off {
            let _ = write!(text, " --preallocation={}", format!("{:?}", self.preallocation).to_lowercase());
        }
        if !self.name_format {
            text += " (probed)";
        }
        text
    }
}

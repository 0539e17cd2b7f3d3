//! What a case is called: a key that stays, and a line for people.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::{Backing, Case, Fixture, FormatOptions, Maker, Preallocation, Qcow2, Resize, WriteKind, size};

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
            FormatOptions::Qcow2(options) => options.describe(),
            FormatOptions::Qed(options) => {
                let cluster = size::spell(options.cluster_size());
                format!("qed {cluster} clusters, tables of {},", options.table_size)
            }
        };
        let _ = write!(text, " {}", size::spell(self.size));
        if self.maker == Maker::Own {
            text += ", own layout";
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
        ] {
            if on {
                let _ = write!(text, ", {name}");
            }
        }
        text + ","
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
